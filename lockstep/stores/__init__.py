"""How the operator reads and corrects the table and the index."""
