"""One stack: its names, its clients, and the use cases that are built from them."""
