"""The local Kinesis endpoint, for any client of Kinesis."""
