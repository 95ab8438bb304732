"""Native transformers models whose attention runs on longbio's kernels."""
