"""Reads the quarantine, and redrives its records."""

from lockstep.quarantine.bucket import QuarantineCounts, count, image_of, images, keys, records

__all__ = ["QuarantineCounts", "count", "image_of", "images", "keys", "records"]
