"""The engines of the local stack: downloaded once, checked and configured at every start."""
