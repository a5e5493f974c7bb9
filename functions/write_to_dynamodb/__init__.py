"""The consumer that writes the system of record: change -> item."""
