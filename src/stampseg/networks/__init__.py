"""The U-Net whose widths are data, the registry of others' networks, and the model file."""
