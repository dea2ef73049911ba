"""The engine for every network: trace channels, prove cuts, measure importance, choose, cut."""
