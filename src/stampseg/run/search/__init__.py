"""A short list of settings, raced by folds; the default is kept unless another is worth more on others."""
