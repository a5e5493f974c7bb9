"""The search page of a deployed stack, served on this machine."""
