"""What the log says of a batch, from the `Records` of an invocation: no record is decoded."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

# The names of these keys in a line.
_PLACE = ("stream", "shard_id", "first_sequence_number", "last_sequence_number", "records")

# An image with fewer records in a batch is not hot, and a line names at most so many images.
HOT_RECORDS = 10
MOST_HOT = 3


class _Source(NamedTuple):
    """Where one record comes from; `arrived` is in seconds since 1970."""

    stream: str
    shard_id: str | None
    sequence_number: str
    arrived: float


def place_of(records: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Stream, shard, first and last sequence number of a batch, and its number of records.

    A record of a table's stream does not name its shard. A value that is unknown is None.
    """
    if not records:
        return dict.fromkeys(_PLACE)
    first, last = _source(records[0]), _source(records[-1])
    values = (
        first.stream,
        first.shard_id,
        first.sequence_number,
        last.sequence_number,
        len(records),
    )
    return dict(zip(_PLACE, values, strict=True))


def age_ms_of(records: Sequence[Mapping[str, Any]], now: float) -> int | None:
    """How long ago the first record arrived, in milliseconds; `now` is in seconds since 1970."""
    return max(0, round((now - _source(records[0]).arrived) * 1000)) if records else None


def image_ids_of(records: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """The image of each record, by its partition key or by the key of its item."""
    for record in records:
        if "kinesis" in record:
            yield record["kinesis"]["partitionKey"]
        else:
            yield from (
                str(one) for key in record["dynamodb"]["Keys"].values() for one in key.values()
            )


def hottest_of(records: Sequence[Mapping[str, Any]]) -> Sequence[tuple[str, int]]:
    """The images with the most records in a batch, and how many each has; the most first.

    Only images with at least `HOT_RECORDS`, and at most `MOST_HOT` of them. The memory is bounded,
    because a batch is. Items of a table with a sort key are no images.
    """
    if len(records) < HOT_RECORDS:
        return ()
    last = records[-1]
    if "kinesis" not in last and len(last["dynamodb"]["Keys"]) > 1:
        return ()
    found = Counter(image_ids_of(records)).most_common(MOST_HOT)
    return [(image_id, count) for image_id, count in found if count >= HOT_RECORDS]


def _source(record: Mapping[str, Any]) -> _Source:
    arn = record["eventSourceARN"]
    if "kinesis" in record:
        told = record["kinesis"]
        return _Source(
            arn.rpartition("/")[2],
            record["eventID"].partition(":")[0],
            told["sequenceNumber"],
            told["approximateArrivalTimestamp"],
        )
    told = record["dynamodb"]
    return _Source(
        arn.partition(":table/")[2],
        None,
        told["SequenceNumber"],
        told["ApproximateCreationDateTime"],
    )
