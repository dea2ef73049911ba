"""Values of label files and the classes they are; what labels look like, and what is done to masks."""
