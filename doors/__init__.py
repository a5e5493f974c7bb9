"""The code that handlers share: the steps of an invocation, the quarantine, and clients."""
