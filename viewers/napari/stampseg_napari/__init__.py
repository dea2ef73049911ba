"""stampseg in napari: open scans where they lie, segment them, see what is uncertain."""
