"""The operator's work on a replica in Table Store: the load of what its source has."""
