"""Masked-LM training of whole checkpoints: a head for an encoder that has none, and healing."""
