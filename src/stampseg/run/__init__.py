"""A run on disk: what was asked, the folder, checkpoints, the pipeline, the result."""
