"""The real engines of the local stack: fetched once, checked at every start, run by hand."""
