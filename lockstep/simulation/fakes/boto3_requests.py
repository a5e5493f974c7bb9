"""Requests of a boto3 client: its answers, and its exceptions."""

from collections.abc import Callable
from typing import Any

from botocore.exceptions import ClientError, EndpointConnectionError, ReadTimeoutError

from lockstep.simulation.fakes.cut_answers import boto3_document
from lockstep.simulation.fakes.network import (
    AnswerError,
    Connection,
    CutOffError,
    NoAnswerError,
    NoAnswerInTimeError,
)


def answer_of(
    connection: Connection, service: str, operation: str, apply: Callable[[], dict[str, Any]]
) -> dict[str, Any]:
    """Send a request with a JSON answer; raise errors as boto3 does."""
    try:
        return connection.send(apply)
    except NoAnswerInTimeError as error:
        raise ReadTimeoutError(endpoint_url=service, error=error) from error
    except NoAnswerError as error:
        raise EndpointConnectionError(endpoint_url=service, error=error) from error
    except CutOffError as cut:
        return boto3_document(cut)
    except AnswerError as error:
        raise client_error(operation, error.status, error.code) from error


def client_error(operation: str, status: int, code: str) -> ClientError:
    """The exception of boto3 for an error. `code` may contain a message after a colon."""
    name, _, message = code.partition(": ")
    return ClientError(
        {
            "Error": {"Code": name, "Message": message or name},
            "ResponseMetadata": {
                "HTTPStatusCode": status,
                "RequestId": "",
                "HostId": "",
                "HTTPHeaders": {},
                "RetryAttempts": 0,
            },
        },
        operation,
    )
