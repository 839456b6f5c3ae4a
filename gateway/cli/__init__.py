"""The command ``weir``: what people type, turned into calls of the rooms below."""

from gateway.cli.main import main

__all__ = ["main"]
