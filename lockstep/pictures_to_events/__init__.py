"""Notifications of the picture bucket become events on the image stream."""
