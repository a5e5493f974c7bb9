"""The Lambda functions. Each folder is one function."""
