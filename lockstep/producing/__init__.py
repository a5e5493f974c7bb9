"""Putting events onto the stream, in order per image."""
