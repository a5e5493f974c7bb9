"""The audit: both stores read completely and compared, image by image, version and digest."""
