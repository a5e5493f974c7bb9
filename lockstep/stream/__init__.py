"""Read a Kinesis stream or the stream of a DynamoDB table."""
