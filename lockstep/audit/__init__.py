"""The audit: reads both stores completely and compares them image by image."""
