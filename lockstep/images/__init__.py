"""Single images: what both stores hold of one, and changing one through the stream."""
