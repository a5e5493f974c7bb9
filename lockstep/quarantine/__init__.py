"""The quarantine: what it holds, why, and how it is redriven."""

from lockstep.quarantine.bucket import images, keys

__all__ = ["images", "keys"]
