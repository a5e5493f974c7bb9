"""Terminal output, and the errors that a user can cause."""
