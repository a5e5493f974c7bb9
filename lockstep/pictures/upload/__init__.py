"""Uploading files to the picture bucket, and their events onto the stream."""
