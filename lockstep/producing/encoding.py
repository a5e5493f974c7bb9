"""Encode the body of PutRecords once.

botocore walks through all parameters of a request by their shapes, copies them, encodes the data in
base64, and then encodes the copy with Python's json. msgspec encodes the same parameters in one
step. The rest of a request stays botocore's work: endpoint, signature, connections and errors.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from botocore.model import OperationModel
    from types_boto3_kinesis import KinesisClient

_OPERATION = "PutRecords"
_BODY = "lockstep_records"
_encode = msgspec.json.Encoder().encode


def encode_records_once(client: "KinesisClient") -> None:
    """Let msgspec encode the records that this client puts.

    The client must have been made with `parameter_validation=False`, because there is nothing left
    to validate: the stream refuses what is wrong. Give the stream by its name.
    """
    events = client.meta.events
    events.register_last(f"before-parameter-build.kinesis.{_OPERATION}", _take)
    events.register_last(f"before-call.kinesis.{_OPERATION}", _give)


def _take(
    params: dict[str, Any], model: "OperationModel", context: dict[str, Any], **_: object
) -> None:
    """Encode the parameters, and leave nothing for botocore to walk through."""
    if model.name == _OPERATION:
        context[_BODY] = _encode(params)
        params.clear()


def _give(params: dict[str, Any], context: Mapping[str, Any], **_: object) -> None:
    params["body"] = context[_BODY]
