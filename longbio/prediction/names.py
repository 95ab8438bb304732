"""File names of notes."""

from longbio.corpus.file_names import FileNames as Names

__all__ = ["Names"]
