"""Deliver records of the image stream again, to both stores."""
