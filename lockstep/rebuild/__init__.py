"""The rebuild: builds a new index from the table and the old index, then switches to it."""
