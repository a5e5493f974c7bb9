"""Operations on records: put them, and read a shard from a position."""

from collections.abc import Callable
from typing import Any

from lockstep.local.kinesis.endpoint import (
    Answer,
    Endpoint,
    Request,
    hash_range_answer,
    invalid,
    milliseconds,
    not_found,
)
from lockstep.local.kinesis.errors import KinesisError
from lockstep.local.kinesis.store import (
    NewRecord,
    Stored,
    ThroughputExceeded,
    UnissuedSequenceNumberError,
)
from lockstep.local.kinesis.tokens import (
    ExpiredTokenError,
    InvalidTokenError,
    ShardIterator,
    seal,
    unseal,
)
from lockstep.stream import sequence
from lockstep.stream.kinesis_file import RecordPage, StoredRecord, StoredShard, StoredStream
from lockstep.stream.shards import HASH_KEYS, hash_bytes, hash_key, shard_id

# https://docs.aws.amazon.com/kinesis/latest/APIReference/API_PutRecords.html and API_GetRecords
MAX_PUT_BYTES = 10 * 1024 * 1024
MAX_GET_BYTES = 10 * 1024 * 1024
MAX_GET_RECORDS = 10_000


def put_record(endpoint: Endpoint, request: Request) -> Answer:
    """PutRecord: the record is durable when this returns."""
    stream = endpoint.stream(request)
    above = request.get("SequenceNumberForOrdering")
    entry = _entry(stream, request, above=_issued(endpoint, stream, above) if above else 0)
    _stop_dry_run(request)
    try:
        [outcome] = _append(endpoint, stream, [entry])
    except UnissuedSequenceNumberError:
        raise _unissued(endpoint, stream, str(above)) from None
    match outcome:
        case ThroughputExceeded():
            message = _rate_exceeded(endpoint, stream, outcome)
            raise KinesisError("ProvisionedThroughputExceededException", message)
        case Stored(shard, number):
            return {"ShardId": shard_id(shard), "SequenceNumber": number}


def put_records(endpoint: Endpoint, request: Request) -> Answer:
    """PutRecords: throttled records fail individually, all others are stored in one transaction."""
    stream = endpoint.stream(request)
    entries = [_entry(stream, each) for each in request["Records"]]
    total = sum(each.size for each in entries)
    if total > MAX_PUT_BYTES:
        raise invalid(f"Records size exceeds 10 MB limit: {total} bytes of data and partition keys")
    _stop_dry_run(request)
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
                        "ErrorMessage": _rate_exceeded(endpoint, stream, outcome),
                    }
                )
    return {"FailedRecordCount": failed, "Records": answers}


def get_shard_iterator(endpoint: Endpoint, request: Request) -> Answer:
    """GetShardIterator: all types. An iterator is valid for five minutes, even after a restart."""
    stream = endpoint.stream(request)
    shard = endpoint.shard(stream, request["ShardId"])
    position = _starting_position(endpoint, stream, shard, request)
    _stop_dry_run(request)
    return {"ShardIterator": _iterator(endpoint, stream, shard, position)}


def get_records(endpoint: Endpoint, request: Request) -> Answer:
    """GetRecords: at the end of a closed shard it returns ChildShards and no NextShardIterator."""
    now = endpoint.now()
    # Kinesis accepts an iterator with the quotes that the AWS CLI prints around it.
    token = request["ShardIterator"].strip('"')
    try:
        iterator = unseal(endpoint.store.secret, token, ShardIterator, now)
    except InvalidTokenError:
        raise invalid("Invalid ShardIterator.") from None
    except ExpiredTokenError as error:
        raise KinesisError("ExpiredIteratorException", f"Iterator expired: {error}.") from None
    stream = endpoint.store.find_stream_of_key(iterator.stream)
    shard = endpoint.store.find_shard_of_key(iterator.shard)
    if stream is None or shard is None:
        raise not_found("The shard of this ShardIterator does not exist: its stream was deleted.")
    if request.get("StreamARN", endpoint.arn(stream.name)) != endpoint.arn(stream.name):
        raise invalid(f"The ShardIterator is of {stream.name}, not of {request['StreamARN']}.")
    _stop_dry_run(request)
    if not endpoint.limits.admits_read(shard.key, now):
        message = _rate_exceeded(endpoint, stream, ThroughputExceeded(shard.number))
        raise KinesisError("ProvisionedThroughputExceededException", message)
    page = endpoint.store.read(
        shard,
        iterator.position,
        horizon=stream.horizon(now),
        limit=request.get("Limit", MAX_GET_RECORDS),
        max_bytes=MAX_GET_BYTES,
    )
    endpoint.limits.count_read(shard.key, page.size)
    answer: dict[str, Any] = {
        "Records": [_record_answer(each) for each in page.records],
        "MillisBehindLatest": _behind(page, now),
    }
    if shard.closed_at is not None and page.next >= shard.next:
        answer["ChildShards"] = [
            {
                "ShardId": shard_id(child.number),
                "ParentShards": [
                    shard_id(parent)
                    for parent in (child.parent, child.adjacent_parent)
                    if parent is not None
                ],
                "HashKeyRange": hash_range_answer(child),
            }
            for child in endpoint.store.children(stream, shard)
        ]
    else:
        answer["NextShardIterator"] = _iterator(endpoint, stream, shard, page.next)
    return answer


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


def _append(
    endpoint: Endpoint, stream: StoredStream, entries: list[NewRecord]
) -> list[Stored | ThroughputExceeded]:
    admits: Callable[[int, int, int], bool] = endpoint.limits.admits_write
    return endpoint.store.append(stream, entries, admits=admits, now=endpoint.now())


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


def _rate_exceeded(endpoint: Endpoint, stream: StoredStream, throttled: ThroughputExceeded) -> str:
    return f"Rate exceeded for shard {shard_id(throttled.shard)} in {endpoint.describe(stream)}."


def _stop_dry_run(request: Request) -> None:
    if request.get("DryRun", False):
        raise KinesisError(
            "DryRunOperationException",
            "the request is valid; it was not performed because of DryRun",
        )


def _starting_position(
    endpoint: Endpoint, stream: StoredStream, shard: StoredShard, request: Request
) -> int:
    kind = request["ShardIteratorType"]
    for wanted, kinds in (
        ("StartingSequenceNumber", ("AT_SEQUENCE_NUMBER", "AFTER_SEQUENCE_NUMBER")),
        ("Timestamp", ("AT_TIMESTAMP",)),
    ):
        if (wanted in request) != (kind in kinds):
            verb = "needs" if kind in kinds else "takes no"
            raise invalid(f"ShardIteratorType {kind} {verb} {wanted}")
    match kind:
        case "TRIM_HORIZON":
            return 0
        case "LATEST":
            return shard.next
        case "AT_TIMESTAMP":
            time, now = milliseconds(request["Timestamp"]), endpoint.now()
            if time > now:
                raise invalid(
                    f"The timestampInMillis parameter ({time}) cannot be greater than the"
                    f" currentTimestampInMillis ({now})."
                )
            return endpoint.store.position_at(shard, time)
        case _:
            number = _number_in(endpoint, stream, shard, request["StartingSequenceNumber"])
            return number.position if kind == "AT_SEQUENCE_NUMBER" else number.position + 1


def _number_in(
    endpoint: Endpoint, stream: StoredStream, shard: StoredShard, text: str
) -> sequence.SequenceNumber:
    """A StartingSequenceNumber, which must be of this shard."""
    where = f"used in GetShardIterator on shard {shard_id(shard.number)} in"
    where = f"StartingSequenceNumber {text} {where} {endpoint.describe(stream)} is invalid"
    try:
        number = sequence.parse(text)
    except sequence.InvalidSequenceNumberError:
        raise invalid(f"{where}.") from None
    if number.shard != shard.number:
        raise invalid(f"{where} because it is one of {shard_id(number.shard)}.")
    if number.created != shard.created:
        raise invalid(f"{where} because it did not come from this stream.")
    if number.position >= shard.next:
        raise invalid(f"{where} because it is beyond the shard's last record.")
    return number


def _iterator(endpoint: Endpoint, stream: StoredStream, shard: StoredShard, position: int) -> str:
    content = ShardIterator(stream.key, shard.key, position, issued_at=endpoint.now())
    return seal(endpoint.store.secret, content)


def _record_answer(record: StoredRecord) -> dict[str, Any]:
    return {
        "SequenceNumber": record.number,
        "ApproximateArrivalTimestamp": record.arrived_at / 1000,
        "Data": record.data,
        "PartitionKey": record.partition_key,
    }


def _behind(page: RecordPage, now: int) -> int:
    """The age of the next record in milliseconds, at least 1; 0 if there is none."""
    return 0 if page.next_arrival is None else max(1, now - page.next_arrival)
