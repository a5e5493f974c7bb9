"""Errors: what the endpoint refuses, under the names that Kinesis gives it."""

from typing import Literal

type ErrorName = Literal[
    "DryRunOperationException",
    "ExpiredIteratorException",
    "ExpiredNextTokenException",
    "InternalFailureException",
    "InvalidArgumentException",
    "LimitExceededException",
    "MissingAuthenticationTokenException",
    "ProvisionedThroughputExceededException",
    "RequestEntityTooLargeException",
    "ResourceInUseException",
    "ResourceNotFoundException",
    "SerializationException",
    "UnknownOperationException",
    "ValidationException",
]


class KinesisError(Exception):
    """A request is refused: `name` is the type that SDKs raise, the message is for a person."""

    def __init__(self, name: ErrorName, message: str) -> None:
        super().__init__(message)
        self.name: ErrorName = name
