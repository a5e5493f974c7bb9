"""Reads the quarantine, and redrives its records."""

from lockstep.quarantine.bucket import images, keys

__all__ = ["images", "keys"]
