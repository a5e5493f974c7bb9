"""Thumbnails of the pictures in the picture bucket."""
