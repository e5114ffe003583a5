"""Cleaning: text made harmless for where it goes."""

from spanguard.validation.sanitizers.text import clean_text

__all__ = ["clean_text"]
