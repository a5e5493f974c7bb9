"""A stream that follows a script: failures are items in a list, time is a number."""

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec
from botocore.exceptions import ClientError

from lockstep.producing.outbox import MAX_REQUEST_BYTES, MAX_REQUEST_RECORDS
from shared.clock import Clock
from shared.event import Event, decode

if TYPE_CHECKING:
    from types_boto3_kinesis.type_defs import PutRecordsRequestEntryTypeDef

NOON = 1_795_262_400.0  # 2026-11-21T12:00:00Z, in seconds since 1970


class Take(msgspec.Struct, frozen=True):
    """Accept the whole request."""


class Throttle(msgspec.Struct, frozen=True):
    """Accept all but the records at these positions."""

    at: frozenset[int]


class Fail(msgspec.Struct, frozen=True):
    """Raise this; if `taken`, after the records were accepted: the response is lost."""

    error: Exception
    taken: bool = False


class Say(msgspec.Struct, frozen=True):
    """Return this response to any request; accept no record."""

    response: Mapping[str, Any]


type Turn = Take | Throttle | Fail | Say


class VirtualTime:
    """A clock that moves only when a sleep or a test moves it."""

    def __init__(self, chance: Iterable[float] = itertools.repeat(0.5)) -> None:
        self.now = 0.0
        self.unix = NOON
        self.slept: list[float] = []
        draws = iter(chance)
        self.clock = Clock(lambda: self.unix, lambda: self.now, self._sleep, lambda: next(draws))

    def _sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.slept.append(seconds)
        self.now += seconds


class ScriptedStream:
    """Answers PutRecords as Kinesis does: one turn of the script per request, then all succeed.

    Asserts the limits of Kinesis, and at most one record of an image per request.
    """

    def __init__(self, *script: Turn, then: Iterable[Turn] = ()) -> None:
        self._turns: Iterator[Turn] = itertools.chain(script, then, itertools.repeat(Take()))
        self.accepted: list[tuple[str, bytes]] = []
        self.requests: list[list[str]] = []

    def put_records(
        self,
        *,
        StreamName: str,  # noqa: N803 - the name that Kinesis uses
        Records: Sequence["PutRecordsRequestEntryTypeDef"],  # noqa: N803 - the name that Kinesis uses
    ) -> dict[str, Any]:
        assert StreamName == "lockstep-images"
        records = [(one["PartitionKey"], _data(one)) for one in Records]
        keys = [key for key, _ in records]
        assert 1 <= len(records) <= MAX_REQUEST_RECORDS
        assert len(set(keys)) == len(keys), "two records of an image in one request"
        assert sum(len(data) + len(key) for key, data in records) <= MAX_REQUEST_BYTES
        self.requests.append(keys)
        match next(self._turns):
            case Take():
                return self._take(records, frozenset())
            case Throttle(at):
                return self._take(records, at)
            case Fail(error, taken):
                if taken:
                    self._take(records, frozenset())
                raise error
            case Say(response):
                return dict(response)

    def events(self) -> list[Event]:
        return [decode(data) for _, data in self.accepted]

    def versions(self) -> dict[str, list[int]]:
        """The versions of each image in order of arrival, without repetitions."""
        found: dict[str, dict[int, None]] = {}
        for event in self.events():
            found.setdefault(event.image_id, {})[event.version] = None
        return {image_id: list(versions) for image_id, versions in found.items()}

    def _take(self, records: list[tuple[str, bytes]], refused: frozenset[int]) -> dict[str, Any]:
        entries: list[dict[str, str]] = []
        for position, record in enumerate(records):
            if position in refused:
                entries.append(
                    {
                        "ErrorCode": "ProvisionedThroughputExceededException",
                        "ErrorMessage": "Rate exceeded for shard shardId-000000000000",
                    }
                )
            else:
                self.accepted.append(record)
                entries.append({"SequenceNumber": str(len(self.accepted)), "ShardId": "shard"})
        failed = len(records) - sum("SequenceNumber" in entry for entry in entries)
        return {"FailedRecordCount": failed, "Records": entries, "ResponseMetadata": {}}


def client_error(code: str, status: int, message: str = "as scripted") -> ClientError:
    """The exception that boto3 raises for an error response."""
    return ClientError(
        {
            "Error": {"Code": code, "Message": message},
            "ResponseMetadata": {
                "HTTPStatusCode": status,
                "RequestId": "",
                "HostId": "",
                "HTTPHeaders": {},
                "RetryAttempts": 0,
            },
        },
        "PutRecords",
    )


def _data(record: "PutRecordsRequestEntryTypeDef") -> bytes:
    data = record["Data"]
    assert isinstance(data, bytes)
    return data
