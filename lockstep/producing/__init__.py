"""Put events onto the stream, in order for each image; import images."""
