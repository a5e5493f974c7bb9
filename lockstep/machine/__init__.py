"""What every machine offers: files that are replaced atomically, and processes."""
