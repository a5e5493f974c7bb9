"""Erasing images: all content of them, in each place that keeps some."""
