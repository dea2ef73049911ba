"""The readers of images and labels by the name that scripts have known them by; see io/readers.py."""

from .io.readers import read_header, read_image, read_label, write_label

__all__ = ["read_header", "read_image", "read_label", "write_label"]
