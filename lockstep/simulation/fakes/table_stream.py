"""Fakes of the two streams that carry a table's changes.

`FakeTableStream` is the table's own stream. For Kinesis Data Streams for DynamoDB, `copy_of` gives
the record that DynamoDB puts into a Kinesis stream. Both have the form that Lambda delivers; the
contract test `tests/contract/mapping/test_table_stream.py` compares them with DynamoDB Local.
"""

import uuid
import zlib
from collections.abc import Callable, Mapping
from typing import Any, Literal

import msgspec

from lockstep.simulation.fakes.dynamodb import KEY, item_bytes
from lockstep.simulation.fakes.kinesis import AcceptedRecord
from lockstep.simulation.fakes.partiql import Item

RETENTION_SECONDS = 24 * 60 * 60.0
# A shard of a table's stream is closed after about four hours; a child continues it.
SHARD_SECONDS = 4 * 60 * 60.0
PARTITIONS = 2
# Numbers have 21 digits at least; the first is arbitrary.
_FIRST_NUMBER = 7_000_000_000_000_000_000_000
_VIEW = "NEW_AND_OLD_IMAGES"
_REGION = "us-east-1"
# Lambda spells it so; the Streams API capitalizes the names.
_TIME_TO_LIVE = {"type": "Service", "principalId": "dynamodb.amazonaws.com"}

type ChangeName = Literal["INSERT", "MODIFY", "REMOVE"]

_encode = msgspec.json.Encoder().encode


class ItemChange(msgspec.Struct, frozen=True):
    """One write that changed an item of the table.

    `old` and `new` are the item before and after; None if there was or is none. `at` is in seconds
    since 1970. `old_is_ours` and `new_is_ours` tell whether a consumer could have written them.
    """

    number: int
    image_id: str
    old: Item | None
    new: Item | None
    at: float
    by_time_to_live: bool = False
    old_is_ours: bool = True
    new_is_ours: bool = True
    keys: Item | None = None
    """The key of the item; None: the image id."""

    @property
    def name(self) -> ChangeName:
        """What happened to the item."""
        if self.new is None:
            return "REMOVE"
        return "INSERT" if self.old is None else "MODIFY"

    @property
    def _identity(self) -> Mapping[str, str] | None:
        return _TIME_TO_LIVE if self.by_time_to_live else None

    @property
    def _images(self) -> dict[str, Any]:
        """Keys, images and size, as both streams have them."""
        keys: Item = self.keys or {KEY: {"S": self.image_id}}
        images = [("NewImage", self.new), ("OldImage", self.old)]
        there: dict[str, Any] = {name: item for name, item in images if item is not None}
        size = item_bytes(keys) + sum(map(item_bytes, there.values()))
        return {"Keys": keys, **there, "SizeBytes": size}

    def in_table_stream(self, number: str) -> dict[str, Any]:
        """One entry of `Records` in a DynamoDB event, without the ARN of the stream."""
        entry: dict[str, Any] = {
            "eventID": f"{self.number:032x}",
            "eventName": self.name,
            "eventVersion": "1.1",
            "eventSource": "aws:dynamodb",
            "awsRegion": _REGION,
            "dynamodb": {
                "ApproximateCreationDateTime": float(int(self.at)),
                **self._images,
                "SequenceNumber": number,
                "StreamViewType": _VIEW,
            },
        }
        return entry if self._identity is None else {**entry, "userIdentity": self._identity}

    def copy_of(self, table: str) -> tuple[str, bytes]:
        """Partition key and data of the record that DynamoDB puts into a Kinesis stream."""
        images = self._images
        data = {
            "awsRegion": _REGION,
            "eventID": str(uuid.UUID(int=self.number)),
            "eventName": self.name,
            "userIdentity": self._identity,
            "recordFormat": "application/json",
            "tableName": table,
            # In milliseconds; the table's stream has whole seconds.
            "dynamodb": {"ApproximateCreationDateTime": round(self.at * 1000), **images},
            "eventSource": "aws:dynamodb",
        }
        return _encode(images["Keys"]).decode(), _encode(data)


class TableStreamRecord(AcceptedRecord, frozen=True, kw_only=True):
    """A record of a table's stream; `arrived_at` is in whole seconds."""

    event_id: str

    @property
    def position(self) -> str:
        """See `AcceptedRecord.position`: Lambda delivers no shard id, but the id of the change."""
        return f"{self.stream}/{self.event_id}/{self.sequence_number}"

    @property
    def stream_arn(self) -> str:
        """The ARN of its stream."""
        return f"arn:aws:dynamodb:us-east-1:000000000000:table/{self.stream}"

    def as_lambda_record(self) -> dict[str, Any]:
        """One entry of `Records` in a DynamoDB event."""
        return {**msgspec.json.decode(self.data), "eventSourceARN": self.stream_arn}


class TableStreamShard:
    """A shard of a table's stream, with its records in order."""

    def __init__(self, shard_id: str, parents: frozenset[str], created: float) -> None:
        self.shard_id = shard_id
        self.parents = parents
        self.created = created
        self.records: list[TableStreamRecord] = []
        self.closed = False
        self.trimmed = 0
        self._positions: dict[str, int] = {}

    def append(self, record: TableStreamRecord) -> None:
        """Append a record."""
        self.records.append(record)
        self._positions[record.sequence_number] = len(self.records)

    def position_of(self, sequence_number: str) -> int:
        """See `StreamShard.position_of`."""
        return self._positions[sequence_number]


class FakeTableStream:
    """The stream of a table. `accepted` has every record, in order."""

    def __init__(
        self, label: str, *, now: Callable[[], float], first_number: int = _FIRST_NUMBER
    ) -> None:
        """Begin an empty stream: `label` is its name in its ARN, after `table/`."""
        self.stream = label
        self._first_number = first_number
        self.retention = RETENTION_SECONDS
        self.shards: dict[str, TableStreamShard] = {}
        self.accepted: list[TableStreamRecord] = []
        self.needed: Callable[[TableStreamShard], int] = lambda shard: len(shard.records)
        """Up to which position the records of a shard may be removed."""
        self._now = now
        self._open = [self._new_shard(frozenset()) for _ in range(PARTITIONS)]

    def tell(self, change: ItemChange) -> TableStreamRecord:
        """Append a change to the shard of its key."""
        shard = self._shard_of(change.image_id)
        number = str(self._first_number + len(self.accepted))
        told = change.in_table_stream(number)
        record = TableStreamRecord(
            stream=self.stream,
            shard_id=shard.shard_id,
            sequence_number=number,
            partition_key=_encode(told["dynamodb"]["Keys"]).decode(),
            arrived_at=float(int(change.at)),
            data=_encode(told),
            event_id=told["eventID"],
        )
        shard.append(record)
        self.accepted.append(record)
        return record

    def trim(self, before: float) -> None:
        """Remove the records that are older than this time, unless they are needed."""
        for shard in self.shards.values():
            records, needed = shard.records, self.needed(shard)
            while shard.trimmed < needed and records[shard.trimmed].arrived_at < before:
                shard.trimmed += 1

    def split(self) -> None:
        """Split each open shard: it is closed, and two children continue it."""
        parents = self._open
        for one in parents:
            one.closed = True
        # A key at place `p` of `n` is at `p` or `p + n` of twice as many.
        self._open = [self._new_shard(frozenset({one.shard_id})) for one in [*parents, *parents]]

    def _shard_of(self, image_id: str) -> TableStreamShard:
        at = zlib.crc32(image_id.encode()) % len(self._open)
        shard = self._open[at]
        if self._now() - shard.created >= SHARD_SECONDS:
            shard.closed = True
            shard = self._open[at] = self._new_shard(frozenset({shard.shard_id}))
        return shard

    def _new_shard(self, parents: frozenset[str]) -> TableStreamShard:
        created = self._now()
        shard_id = f"shardId-{round(created * 1000):020d}-{len(self.shards):08x}"
        shard = self.shards[shard_id] = TableStreamShard(shard_id, parents, created)
        return shard
