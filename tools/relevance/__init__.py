"""Relevance: how well the search finds the right images, measured on a judged set of queries."""
