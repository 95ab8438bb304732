"""Masking, the masked-LM head, and bits per masked token."""
