"""Fakes of the clients of DynamoDB, OpenSearch, S3 and Kinesis, with the rules of the engines.

Fakes and engines pass the same contract tests. If they differ, the fake is wrong.
"""
