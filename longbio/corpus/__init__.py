"""What is on disk: documents and their mentions, read, written and invented. No torch."""
