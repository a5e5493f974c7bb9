"""API Gateway on one machine: an HTTP API in front of one function."""
