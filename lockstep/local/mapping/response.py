"""The function's response: what the result of an invocation means for its batch.

docs/internals/facts.md, Event source mapping;
https://docs.aws.amazon.com/lambda/latest/dg/services-kinesis-batchfailurereporting.html
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from lockstep.local.mapping.batch import BatchRecord


class Returned(msgspec.Struct, frozen=True):
    """The function returned this JSON."""

    payload: bytes


class Errored(msgspec.Struct, frozen=True):
    """The function raised, crashed or timed out: Lambda's function error `Unhandled`."""

    error_type: str
    message: str


class Throttled(msgspec.Struct, frozen=True):
    """The function was not invoked: its reserved concurrency is used up."""


type InvocationResult = Returned | Errored | Throttled


class CompleteSuccess(msgspec.Struct, frozen=True):
    """All records of the batch are processed."""


class PartialFailure(msgspec.Struct, frozen=True):
    """The records before this position in the batch are processed; the one there failed."""

    position: int
    cause: str


class CompleteFailure(msgspec.Struct, frozen=True):
    """No record of the batch is known to be processed.

    `function_error` goes into the failure document: `Unhandled`, or None if the function returned
    an invalid response.
    """

    cause: str
    function_error: str | None


type Judgement = CompleteSuccess | PartialFailure | CompleteFailure


def judge(answer: Returned | Errored, batch: Sequence[BatchRecord], *, reports: bool) -> Judgement:
    """What the result means for the batch; `reports`: ReportBatchItemFailures is on."""
    if isinstance(answer, Errored):
        return CompleteFailure(f"{answer.error_type}: {answer.message}", "Unhandled")
    if not reports:
        return CompleteSuccess()
    try:
        response = msgspec.json.decode(answer.payload or b"null")
    except msgspec.DecodeError as error:
        return _invalid(f"the response is not JSON: {error}")
    if response is None or response in ("", [], {}):
        return CompleteSuccess()
    if not isinstance(response, dict):
        return _invalid("the response is not an object")
    match response.get("batchItemFailures"):
        case None | []:
            return CompleteSuccess()
        case list(failures):
            return _lowest(failures, batch)
        case _:
            return _invalid("batchItemFailures is not a list")


def _lowest(failures: list[Any], batch: Sequence[BatchRecord]) -> Judgement:
    """The lowest reported identifier counts; an invalid one fails the whole batch."""
    positions = {entry.sequence_number: position for position, entry in enumerate(batch)}
    reported = []
    for failure in failures:
        identifier = failure.get("itemIdentifier") if isinstance(failure, dict) else None
        if not isinstance(identifier, str) or identifier not in positions:
            return _invalid(f"itemIdentifier {identifier!r} is not in this batch")
        reported.append(positions[identifier])
    first = min(reported)
    return PartialFailure(first, f"the function reported {batch[first].sequence_number}")


def _invalid(cause: str) -> CompleteFailure:
    return CompleteFailure(cause, None)
