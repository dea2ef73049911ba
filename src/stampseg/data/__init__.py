"""Labelled images: found in any layout, read, split by person, planned, prepared, batched."""
