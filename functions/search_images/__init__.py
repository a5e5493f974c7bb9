"""The query side: what a person would find in the index."""
