"""Cross-validation: a run for each fold, its people predicted by a network that has not seen them."""
