"""Folders on disk: written completely or not at all, hashed, described, and checked when read."""
