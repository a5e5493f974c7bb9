"""The response: what an invocation's answer means for its batch.

docs/internals/facts.md, Event source mapping;
https://docs.aws.amazon.com/lambda/latest/dg/services-kinesis-batchfailurereporting.html
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from lockstep.local.mapping.batch import Entry


class Returned(msgspec.Struct, frozen=True):
    """The function returned this JSON."""

    payload: bytes


class Errored(msgspec.Struct, frozen=True):
    """The function raised, crashed or ran out of time: Lambda's function error `Unhandled`."""

    error_type: str
    message: str


class Throttled(msgspec.Struct, frozen=True):
    """The function was not called: too many invocations are running."""


type Answer = Returned | Errored | Throttled


class Succeeded(msgspec.Struct, frozen=True):
    """All of the batch is done."""


class Stopped(msgspec.Struct, frozen=True):
    """The records before this position in the batch are done; the one there is not."""

    position: int
    cause: str


class Failed(msgspec.Struct, frozen=True):
    """Nothing of the batch is known to be done.

    `function_error` is what the failure document says: `Unhandled`, or None when the function
    returned, but nothing that could be understood.
    """

    cause: str
    function_error: str | None


type Judgement = Succeeded | Stopped | Failed


def judge(answer: Returned | Errored, batch: Sequence[Entry], *, reports: bool) -> Judgement:
    """What the answer means for the batch; `reports`: ReportBatchItemFailures is on."""
    if isinstance(answer, Errored):
        return Failed(f"{answer.error_type}: {answer.message}", "Unhandled")
    if not reports:
        return Succeeded()
    try:
        response = msgspec.json.decode(answer.payload or b"null")
    except msgspec.DecodeError as error:
        return _misunderstood(f"response is no JSON: {error}")
    if response is None or response in ("", [], {}):
        return Succeeded()
    if not isinstance(response, dict):
        return _misunderstood("response is no object")
    match response.get("batchItemFailures"):
        case None | []:
            return Succeeded()
        case list(failures):
            return _lowest(failures, batch)
        case _:
            return _misunderstood("batchItemFailures is no list")


def _lowest(failures: list[Any], batch: Sequence[Entry]) -> Judgement:
    """Of several identifiers the lowest counts; one that cannot be right fails all."""
    positions = {entry.sequence_number: position for position, entry in enumerate(batch)}
    reported = []
    for failure in failures:
        identifier = failure.get("itemIdentifier") if isinstance(failure, dict) else None
        if not isinstance(identifier, str) or identifier not in positions:
            return _misunderstood(f"itemIdentifier {identifier!r} is not in this batch")
        reported.append(positions[identifier])
    first = min(reported)
    return Stopped(first, f"the function reported {batch[first].sequence_number}")


def _misunderstood(cause: str) -> Failed:
    return Failed(cause, None)
