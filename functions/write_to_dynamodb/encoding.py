"""Encode the body of a batch of statements once.

botocore walks through all parameters of a request by their shapes, copies them, and then encodes
the copy with Python's json. That took half of the instructions of this consumer. msgspec encodes
the same parameters in one step. The rest of a request stays botocore's work: endpoint, signature,
connections and errors.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from botocore.model import OperationModel
    from types_boto3_dynamodb import DynamoDBClient

_OPERATION = "BatchExecuteStatement"
_BODY = "lockstep_body"
_encode = msgspec.json.Encoder().encode


def encode_once(client: "DynamoDBClient") -> None:
    """Let msgspec encode the statements of this client.

    The statements are JSON already: DynamoDB's typed values without binary ones. Every other
    handler of the client's events sees the parameters first. The client must have been made with
    `parameter_validation=False`, because there is nothing left to validate.
    """
    events = client.meta.events
    # Handlers of a longer name are called before those of a shorter one.
    events.register_last("before-parameter-build", _take_statements)
    events.register_last(f"before-call.dynamodb.{_OPERATION}", _give_body)


def _take_statements(
    params: dict[str, Any], model: "OperationModel", context: dict[str, Any], **_: object
) -> None:
    """Encode the parameters, and leave nothing for botocore to walk through."""
    if model.name == _OPERATION:
        context[_BODY] = _encode(params)
        params.clear()


def _give_body(params: dict[str, Any], context: Mapping[str, Any], **_: object) -> None:
    params["body"] = context[_BODY]
