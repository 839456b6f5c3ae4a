"""Weir: raw data stays on the box, outcomes of at most 512 bytes leave it."""

__version__ = "0.1.0"
