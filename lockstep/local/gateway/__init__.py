"""A local API Gateway: an HTTP API that invokes one function."""
