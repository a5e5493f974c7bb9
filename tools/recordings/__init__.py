"""Recordings of a terminal for the README, made from real commands: `make recordings`."""
