"""The consumer that writes the search index. It stores a change as a document."""
