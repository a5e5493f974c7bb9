"""Reads and corrects the table and the index, for audit, repair and rebuild."""
