"""Files that are replaced atomically, and the identity of processes."""
