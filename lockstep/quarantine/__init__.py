"""Reads the quarantine, and redrives its records."""

from lockstep.quarantine.bucket import QuarantineCounts, count, images, keys

__all__ = ["QuarantineCounts", "count", "images", "keys"]
