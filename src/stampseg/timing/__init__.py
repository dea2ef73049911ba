"""How long layers and networks take on this machine."""
