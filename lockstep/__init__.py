"""The operator's tool: put, search, status, audit, and the whole system on one machine."""
