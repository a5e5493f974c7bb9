"""Operations that put records."""

from collections.abc import Callable
from typing import Any

from lockstep.local.kinesis.endpoint import (
    Answer,
    Endpoint,
    Request,
    invalid,
    rate_exceeded,
    stop_dry_run,
)
from lockstep.local.kinesis.errors import KinesisError
from lockstep.local.kinesis.store import (
    NewRecord,
    Stored,
    ThroughputExceeded,
    UnissuedSequenceNumberError,
)
from lockstep.stream import sequence
from lockstep.stream.kinesis_file import StoredStream
from lockstep.stream.shards import HASH_KEYS, hash_bytes, hash_key, shard_id

# https://docs.aws.amazon.com/kinesis/latest/APIReference/API_PutRecords.html
MAX_PUT_BYTES = 10 * 1024 * 1024


def put_record(endpoint: Endpoint, request: Request) -> Answer:
    """PutRecord: the record is durable when this returns."""
    stream = endpoint.stream(request)
    above = request.get("SequenceNumberForOrdering")
    entry = _entry(stream, request, above=_issued(endpoint, stream, above) if above else 0)
    stop_dry_run(request)
    try:
        [outcome] = _append(endpoint, stream, [entry])
    except UnissuedSequenceNumberError:
        raise _unissued(endpoint, stream, str(above)) from None
    match outcome:
        case ThroughputExceeded():
            message = rate_exceeded(endpoint, stream, outcome.shard)
            raise KinesisError("ProvisionedThroughputExceededException", message)
        case Stored(shard, number):
            return {
                "ShardId": shard_id(shard),
                "SequenceNumber": number,
                **_encrypted(endpoint, stream),
            }


def put_records(endpoint: Endpoint, request: Request) -> Answer:
    """PutRecords: throttled records fail individually, all others are stored in one transaction."""
    stream = endpoint.stream(request)
    entries = [_entry(stream, each) for each in request["Records"]]
    total = sum(each.size for each in entries)
    if total > MAX_PUT_BYTES:
        raise invalid(f"Records size exceeds 10 MB limit: {total} bytes of data and partition keys")
    stop_dry_run(request)
    answers: list[dict[str, str]] = []
    failed = 0
    for outcome in _append(endpoint, stream, entries):
        match outcome:
            case Stored(shard, number):
                answers.append({"SequenceNumber": number, "ShardId": shard_id(shard)})
            case ThroughputExceeded():
                failed += 1
                answers.append(
                    {
                        "ErrorCode": "ProvisionedThroughputExceededException",
                        "ErrorMessage": rate_exceeded(endpoint, stream, outcome.shard),
                    }
                )
    return {"FailedRecordCount": failed, "Records": answers, **_encrypted(endpoint, stream)}


def _entry(stream: StoredStream, record: Request, above: int = 0) -> NewRecord:
    if "PartitionKey" not in record:
        raise KinesisError(
            "ValidationException",
            "1 validation error detected: Value null at 'partitionKey' failed to satisfy"
            " constraint: Member must not be null",
        )
    explicit = record.get("ExplicitHashKey")
    if explicit is not None and int(explicit) >= HASH_KEYS:
        raise invalid(
            "Invalid ExplicitHashKey. ExplicitHashKey must be in the range: [0, 2^128-1]."
            f" Specified value was {explicit}"
        )
    key = record["PartitionKey"]
    found = NewRecord(
        hash_key=hash_key(key) if explicit is None else hash_bytes(int(explicit)),
        partition_key=key,
        data=record["Data"],
        above=above,
    )
    if found.size > stream.max_record_kib * 1024:
        raise invalid(
            f"a record of {found.size} bytes (data and partition key) is over this stream's"
            f" maximum of {stream.max_record_kib} KiB"
        )
    return found


def _encrypted(endpoint: Endpoint, stream: StoredStream) -> dict[str, Any]:
    # Kinesis leaves the member out if the stream is not encrypted.
    return {} if endpoint.key_id(stream) is None else {"EncryptionType": "KMS"}


def _append(
    endpoint: Endpoint, stream: StoredStream, entries: list[NewRecord]
) -> list[Stored | ThroughputExceeded]:
    admits: Callable[[int, int, int], bool] = endpoint.limits.admits_write
    outcomes = endpoint.store.append(stream, entries, admits=admits, now=endpoint.now())
    stored = sum(isinstance(outcome, Stored) for outcome in outcomes)
    endpoint.measure(stream, "IncomingRecords", stored)
    # 0 if no record was refused: so a period without trouble has a value, too.
    endpoint.measure(stream, "WriteProvisionedThroughputExceeded", len(outcomes) - stored)
    return outcomes


def _issued(endpoint: Endpoint, stream: StoredStream, number: str) -> int:
    """A valid SequenceNumberForOrdering; the store checks whether it was issued."""
    try:
        sequence.parse(number)
    except sequence.InvalidSequenceNumberError:
        raise _unissued(endpoint, stream, number) from None
    return int(number)


def _unissued(endpoint: Endpoint, stream: StoredStream, number: str) -> KinesisError:
    return invalid(
        f"SequenceNumberForOrdering {number} used in PutRecord on {endpoint.describe(stream)} is"
        " invalid: it must be one that the record's shard has issued before."
    )
