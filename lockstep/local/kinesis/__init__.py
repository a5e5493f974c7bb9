"""The Kinesis endpoint: a stream on one machine that any client of Kinesis can use."""
