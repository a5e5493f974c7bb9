"""What doors share: how a client is made that more than one function needs."""
