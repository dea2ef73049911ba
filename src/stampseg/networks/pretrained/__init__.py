"""Networks that were trained elsewhere: nnU-Net results, MONAI bundles, checkpoints."""
