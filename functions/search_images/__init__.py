"""The search: an HTTP API and a page over the index."""
