"""Folders on disk: written whole or not at all, hashed, described, and read with suspicion."""
