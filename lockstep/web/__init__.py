"""An HTTP server for this machine."""
