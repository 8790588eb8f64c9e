"""From a network to its chain of blocks, and from there to a Base-Net and a Refine-Net."""
