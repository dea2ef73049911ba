"""How labelled images lie on a disk: folders, tables, names, and what a dataset.json declares."""
