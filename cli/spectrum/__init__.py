"""``polyroots spectrum``: eigenvalues and singular values of the convolutions of checkpoints."""
