"""The algorithm, its steps and the library for one's own code; no files."""
