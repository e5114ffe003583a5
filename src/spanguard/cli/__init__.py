"""The `spanguard` command."""

from spanguard.cli.entry import main

__all__ = ["main"]
