"""The page: search results and the record of one image, as HTML that works without scripts."""
