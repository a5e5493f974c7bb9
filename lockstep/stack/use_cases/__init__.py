"""What a command does with a stack: each use case, built from the stack's clients."""
