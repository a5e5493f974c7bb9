"""The answer to PutRecords: whether the stream accepted each record."""

from collections.abc import Mapping, MutableMapping, Sequence
from typing import Any

import msgspec

from lockstep.producing.outbox import Accepted, Answer, Deferred


class _RecordResult(msgspec.Struct, rename="pascal", gc=False):
    """The result of one record: accepted if it has a sequence number."""

    sequence_number: str | None = None
    error_code: str | None = None
    error_message: str | None = None


class _PutRecordsResponse(msgspec.Struct, rename="pascal"):
    records: list[_RecordResult]


# The key of an answer's decoded results.
_DECODED = "DecodedResults"
_SUCCEEDS_BELOW = 300
_ACCEPTED = Accepted()
_decoder = msgspec.json.Decoder(_PutRecordsResponse)


def decode_results(
    response_dict: MutableMapping[str, Any],
    customized_response_dict: MutableMapping[str, Any],
    **_: object,
) -> None:
    """Hook for botocore's `before-parse.kinesis.PutRecords`: adds the results, decoded.

    botocore would decode each result by its shape, which takes ten times as long. It decodes every
    other answer: errors, and what has other types.
    """
    if response_dict["status_code"] >= _SUCCEEDS_BELOW:
        return
    try:
        found = _decoder.decode(response_dict["body"])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return
    customized_response_dict[_DECODED] = found.records
    response_dict["body"] = b"{}"


def results(response: Mapping[str, Any], *, expected: int) -> Sequence[Answer]:
    """Return the result of each record, in the order of the request.

    Args:
        response: the answer of a client, with the hook or without it.
        expected: the number of records in the request.

    Raises:
        msgspec.ValidationError: this is not a response to this request; no result is known.
    """
    found: Sequence[_RecordResult] | None = response.get(_DECODED)
    if found is None:
        found = msgspec.convert(response, _PutRecordsResponse).records
    if len(found) != expected:
        message = f"{len(found)} results for {expected} records"
        raise msgspec.ValidationError(message)
    return [
        _ACCEPTED
        if one.sequence_number is not None and one.error_code is None
        else Deferred(f"{one.error_code}: {one.error_message}")
        for one in found
    ]
