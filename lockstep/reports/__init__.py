"""The report of an audit for people: one HTML file (docs/guides/audit.md)."""
