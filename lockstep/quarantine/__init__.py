"""The quarantine as an operator reads it: what lies there, why, and of which images."""

from lockstep.quarantine.bucket import images, keys

__all__ = ["images", "keys"]
