"""HTTP servers on this machine."""
