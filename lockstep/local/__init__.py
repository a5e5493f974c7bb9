"""The local stack: engines, Kinesis endpoint, event source mapping and API Gateway."""
