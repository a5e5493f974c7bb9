"""Encode the body of a request once.

botocore walks through all parameters of a request by their shapes, copies them, and then encodes
the copy with Python's json. That took half of the instructions of the table's consumer. msgspec
encodes the same parameters in one step. The rest of a request stays botocore's work: endpoint,
signature, connections and errors.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

import msgspec

if TYPE_CHECKING:
    from botocore.client import BaseClient
    from botocore.model import OperationModel

# The operations whose parameters are JSON already, or bytes that AWS takes in base64.
type EncodedOnce = Literal["BatchExecuteStatement", "PutRecords"]

_BODY = "lockstep_body"
_encode = msgspec.json.Encoder().encode


def encode_once(client: "BaseClient", operation: EncodedOnce) -> None:
    """Let msgspec encode the requests of this operation.

    Every other handler of the client's events sees the parameters first. The client must have been
    made with `parameter_validation=False`, because there is nothing left to validate: the service
    refuses what is wrong. Give a stream by its name.
    """

    def take(
        params: dict[str, Any], model: "OperationModel", context: dict[str, Any], **_: object
    ) -> None:
        """Encode the parameters, and leave nothing for botocore to walk through."""
        if model.name == operation:
            context[_BODY] = _encode(params)
            params.clear()

    service = client.meta.service_model.service_id.hyphenize()
    events = client.meta.events
    # Handlers of a longer name are called before those of a shorter one.
    events.register_last("before-parameter-build", take)
    events.register_last(f"before-call.{service}.{operation}", _give)


def _give(params: dict[str, Any], context: Mapping[str, Any], **_: object) -> None:
    params["body"] = context[_BODY]
