"""The demonstration: a real fault in the real application, seen through its signals."""
