"""Train and prune a segmentation network at the same time (STAMP), with few labelled scans."""

__version__ = "0.1.0"
