"""What a person sees in a terminal, and errors that a user can cause."""
