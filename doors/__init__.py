"""What the handlers of several functions share: clients, quarantine, and the batch skeleton."""
