"""Read files as people have them: encoding, format, records, and mapping files."""
