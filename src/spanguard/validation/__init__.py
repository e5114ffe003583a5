"""Validation and sanitising."""
