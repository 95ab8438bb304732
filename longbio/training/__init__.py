"""The one training loop: transformers' Trainer, with our loss, our checkpoints and nothing else."""
