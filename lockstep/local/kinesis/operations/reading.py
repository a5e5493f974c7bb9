"""Operations that read a shard from a position; SubscribeToShard uses their parts."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from lockstep.local.kinesis.endpoint import (
    Answer,
    Endpoint,
    Request,
    hash_range_answer,
    invalid,
    milliseconds,
    not_found,
    rate_exceeded,
    stop_dry_run,
)
from lockstep.local.kinesis.errors import KinesisError
from lockstep.local.kinesis.settings import Encryption
from lockstep.local.kinesis.tokens import (
    ExpiredTokenError,
    InvalidTokenError,
    ShardIterator,
    seal,
    unseal,
)
from lockstep.local.kinesis.wire import Moment
from lockstep.stream import sequence
from lockstep.stream.kinesis_file import RecordPage, StoredRecord, StoredShard, StoredStream
from lockstep.stream.shards import shard_id

# https://docs.aws.amazon.com/kinesis/latest/APIReference/API_GetRecords.html
MAX_GET_BYTES = 10 * 1024 * 1024
MAX_GET_RECORDS = 10_000


class Named(NamedTuple):
    """How an operation calls the members that name a position."""

    operation: str
    kind: str
    number: str


ITERATOR = Named("GetShardIterator", "ShardIteratorType", "StartingSequenceNumber")
SUBSCRIPTION = Named("SubscribeToShard", "Type", "SequenceNumber")


def get_shard_iterator(endpoint: Endpoint, request: Request) -> Answer:
    """GetShardIterator: all types. An iterator is valid for five minutes, even after a restart."""
    stream = endpoint.stream(request)
    shard = endpoint.shard(stream, request["ShardId"])
    position = starting_position(endpoint, stream, shard, request, ITERATOR)
    stop_dry_run(request)
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
    stop_dry_run(request)
    admitted = endpoint.limits.admits_read(shard.key, now)
    endpoint.measure(stream, "ReadProvisionedThroughputExceeded", int(not admitted))
    if not admitted:
        message = rate_exceeded(endpoint, stream, shard.number)
        raise KinesisError("ProvisionedThroughputExceededException", message)
    page = endpoint.store.read(
        shard,
        iterator.position,
        horizon=stream.horizon(now),
        limit=request.get("Limit", MAX_GET_RECORDS),
        max_bytes=MAX_GET_BYTES,
    )
    endpoint.limits.count_read(shard.key, page.size)
    answer = page_answer(endpoint, stream, shard, page)
    if "ChildShards" not in answer:
        answer["NextShardIterator"] = _iterator(endpoint, stream, shard, page.next)
    return answer


def page_answer(
    endpoint: Endpoint, stream: StoredStream, shard: StoredShard, page: RecordPage
) -> dict[str, Any]:
    """What was read, in a response; at the end of a closed shard it has `ChildShards`."""
    history = endpoint.store.settings.encryption(stream)
    answer: dict[str, Any] = {
        "Records": [_record_answer(each, history) for each in page.records],
        "MillisBehindLatest": _behind(page, endpoint.now()),
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
    return answer


def starting_position(
    endpoint: Endpoint, stream: StoredStream, shard: StoredShard, request: Request, named: Named
) -> int:
    """The position in the shard that a request names.

    Args:
        endpoint: the endpoint.
        stream: the shard's stream.
        shard: the shard.
        request: the members of the request that name the position.
        named: how these members are called.

    Raises:
        KinesisError: InvalidArgumentException.
    """
    kind = request[named.kind]
    for wanted, kinds in (
        (named.number, ("AT_SEQUENCE_NUMBER", "AFTER_SEQUENCE_NUMBER")),
        ("Timestamp", ("AT_TIMESTAMP",)),
    ):
        if (wanted in request) != (kind in kinds):
            verb = "needs" if kind in kinds else "takes no"
            raise invalid(f"{named.kind} {kind} {verb} {wanted}")
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
            where = f"used in {named.operation} on shard {shard_id(shard.number)}"
            where = f"{named.number} {request[named.number]} {where} in {endpoint.describe(stream)}"
            number = _number_in(shard, request[named.number], where)
            return _position(endpoint, shard, number, after=kind == "AFTER_SEQUENCE_NUMBER")


def _number_in(shard: StoredShard, text: str, where: str) -> sequence.SequenceNumber:
    """A sequence number, which must be of this shard."""
    try:
        number = sequence.parse(text)
    except sequence.InvalidSequenceNumberError:
        raise invalid(f"{where} is invalid.") from None
    if number.shard != shard.number:
        raise invalid(f"{where} is invalid because it is one of {shard_id(number.shard)}.")
    if number.created != shard.created:
        raise invalid(f"{where} is invalid because it did not come from this stream.")
    if number.position >= shard.next:
        raise invalid(f"{where} is invalid because it is beyond the shard's last record.")
    return number


def continuation(endpoint: Endpoint, shard: StoredShard, next_position: int) -> str:
    """The sequence number from which a read continues at `next_position`.

    It is above the number of the record before that position. So a read AT it and a read AFTER it
    begin at the same record, as the documentation of SubscribeToShardEvent says.
    """
    position = next_position - 1
    if position < 1:
        return str(shard.starting_number)
    second = shard.created
    if position >= shard.first:
        second = shard.second(endpoint.store.arrival(shard, position)) + 1
    return str(sequence.SequenceNumber(shard.created, position, second, shard.number))


def _position(
    endpoint: Endpoint, shard: StoredShard, number: sequence.SequenceNumber, *, after: bool
) -> int:
    position = number.position
    if shard.first <= position < shard.next:
        arrived_at = endpoint.store.arrival(shard, position)
        after = after or number.second > shard.second(arrived_at)
    return position + 1 if after else position


def _iterator(endpoint: Endpoint, stream: StoredStream, shard: StoredShard, position: int) -> str:
    content = ShardIterator(stream.key, shard.key, position, issued_at=endpoint.now())
    return seal(endpoint.store.secret, content)


def _record_answer(record: StoredRecord, history: Sequence[Encryption]) -> dict[str, Any]:
    answer: dict[str, Any] = {
        "SequenceNumber": record.number,
        "ApproximateArrivalTimestamp": Moment(record.arrived_at),
        "Data": record.data,
        "PartitionKey": record.partition_key,
    }
    # Kinesis leaves the member out if the record is not encrypted.
    key_ids = (each.key_id for each in history if each.since <= record.arrived_at)
    if next(key_ids, None) is not None:
        answer["EncryptionType"] = "KMS"
    return answer


def _behind(page: RecordPage, now: int) -> int:
    """The age of the next record in milliseconds, at least 1; 0 if there is none."""
    return 0 if page.next_arrival is None else max(1, now - page.next_arrival)
