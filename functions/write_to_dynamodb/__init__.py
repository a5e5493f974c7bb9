"""The consumer that keeps the system of record: change -> item."""
