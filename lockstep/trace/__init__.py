"""All that is known of one image, in order of time. It writes nothing."""
