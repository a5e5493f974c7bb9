"""The errors of the endpoint, with the names that Kinesis uses."""

from typing import Literal

type ErrorName = Literal[
    "DryRunOperationException",
    "ExpiredIteratorException",
    "ExpiredNextTokenException",
    "InternalFailureException",
    "InvalidArgumentException",
    "LimitExceededException",
    "ProvisionedThroughputExceededException",
    "RequestEntityTooLargeException",
    "ResourceInUseException",
    "ResourceNotFoundException",
    "SerializationException",
    "UnknownOperationException",
    "ValidationException",
]


class KinesisError(Exception):
    """A request is refused. SDKs raise an exception of the type `name`."""

    def __init__(self, name: ErrorName, message: str) -> None:
        super().__init__(name, message)
        self.name: ErrorName = name
        self.message = message

    def __str__(self) -> str:
        return self.message
