"""One page that shows a run: the network as it shrinks, the curves, every validation case."""
