"""The consumer that writes the system of record. It stores a change as an item."""
