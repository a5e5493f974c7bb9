"""The pictures of a bucket: their rows in a table, their content, their events on the stream."""
