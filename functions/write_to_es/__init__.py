"""The consumer that writes the search index: change -> document."""
