"""An audit in pieces: its state is in the bucket, so it takes as many invocations as it needs."""
