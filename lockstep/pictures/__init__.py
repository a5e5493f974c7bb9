"""Pictures: their metadata, and the id of the image that a picture's key gives. No AWS client."""
