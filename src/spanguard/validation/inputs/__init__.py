"""The types of input that can be validated."""
