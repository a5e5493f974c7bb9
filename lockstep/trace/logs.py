"""What the log lines of the consumers tell of an image (docs/guides/logs.md)."""

import datetime as dt
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

import msgspec

from lockstep.trace.events import Place, Told
from shared.stamps import LATE_EVENT

# A record is settled soon after its arrival, or lines about its failures tell.
WITHIN_SECONDS = 15 * 60
# So many pages of a log group are read for one question: a page has at most 1 MB.
# https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_FilterLogEvents.html
MOST_PAGES = 200
# Of so many records, the newest, the lines of their batches are looked up.
MOST_RECORDS = 20

_BATCH, _NOT_SETTLED, _QUARANTINED = "batch", "not settled, Lambda retries", "quarantined"
# Lines that need not name the image.
_OF_BATCHES = (_BATCH, _NOT_SETTLED, _QUARANTINED)


class LogLine(msgspec.Struct, frozen=True):
    """A line that a consumer wrote, as far as it matters here."""

    message: str
    timestamp: str
    service: str
    stream: str = ""
    shard_id: str | None = None
    first_sequence_number: str = ""
    last_sequence_number: str = ""
    function_request_id: str = ""
    image_id: str | None = None
    image_version: int | None = None
    sequence_number: str = ""
    reason: str = ""
    detail: str = ""
    cause: str = ""
    records: int = 0
    applied: int = 0
    duplicate: int = 0
    stale: int = 0
    failed: int = 0
    unsettled: tuple[str, ...] = ()

    @property
    def at(self) -> float:
        """When it was written, in seconds since 1970."""
        return dt.datetime.fromisoformat(self.timestamp).timestamp()

    def covers(self, place: Place) -> bool:
        """Whether the batch of this line has this record."""
        return (
            self.stream == place.stream
            and self.shard_id == place.shard_id
            and int(self.first_sequence_number)
            <= int(place.sequence_number)
            <= int(self.last_sequence_number)
        )


class LogsRead(msgspec.Struct, frozen=True):
    """What the lines tell. `complete` is false if there were too many pages."""

    told: Sequence[Told]
    complete: bool = True


class LogSource(Protocol):
    """Where the lines of the consumers are."""

    complete: bool

    def lines(self, shown: str, places: Mapping[Place, float]) -> Iterator[bytes]:
        """The lines that may tell of an image: those that name it, and those of its batches.

        Args:
            shown: the id as the lines show it.
            places: its records, and when each arrived, in seconds since 1970.
        """
        ...


class LocalLogs:
    """The logs in the folder of a local stack.

    Args:
        folder: the folder of the logs.
        functions: the consumers.
    """

    def __init__(self, folder: Path, functions: Collection[str]) -> None:
        self._files = [folder / f"{name}.log" for name in functions]
        self.complete = True

    def lines(self, shown: str, places: Mapping[Place, float]) -> Iterator[bytes]:
        """See `LogSource.lines`."""
        named = msgspec.json.encode(shown)
        for file in self._files:
            with suppress(FileNotFoundError), file.open("rb") as log:
                for line in log:
                    if line.startswith(b"{") and (
                        named in line or (places and b'"first_sequence_number"' in line)
                    ):
                        yield line


class CloudWatchLogs:
    """The log groups of a deployed stack.

    Args:
        client: a client of CloudWatch Logs.
        groups: the log group of each consumer.
        since: read what was written then or later, in seconds since 1970.
    """

    def __init__(self, client: Any, groups: Collection[str], since: float) -> None:
        self._client = client
        self._groups = groups
        self._since = since
        self.complete = True

    def lines(self, shown: str, places: Mapping[Place, float]) -> Iterator[bytes]:
        """See `LogSource.lines`."""
        newest = sorted(places.items(), key=lambda one: one[1])[-MOST_RECORDS:]
        self.complete = len(newest) == len(places)
        for group in self._groups:
            yield from self._found(group, f'{{ $.image_id = "{_quoted(shown)}" }}', self._since)
            for place, arrived in newest:
                kinds = " || ".join(f'$.message = "{one}"' for one in _OF_BATCHES)
                pattern = f'{{ ({kinds}) && $.shard_id = "{_quoted(place.shard_id)}" }}'
                yield from self._found(group, pattern, arrived, arrived + WITHIN_SECONDS)

    def _found(
        self, group: str, pattern: str, since: float, until: float | None = None
    ) -> Iterator[bytes]:
        """The lines of a log group that match a pattern.

        https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/matching-terms-json-log-events.html
        """
        window = {"startTime": round(since * 1000)}
        if until is not None:
            window["endTime"] = round(until * 1000)
        pages = self._client.get_paginator("filter_log_events").paginate(
            logGroupName=group, filterPattern=pattern, **window
        )
        for number, page in enumerate(pages):
            if number == MOST_PAGES:
                self.complete = False
                return
            for event in page["events"]:
                yield event["message"].encode()


def read_logs(source: LogSource, shown: str, places: Mapping[Place, float]) -> LogsRead:
    """What the lines tell of an image.

    Args:
        source: the lines.
        shown: the id of the image as the lines show it.
        places: its records, and when each arrived, in seconds since 1970.
    """
    lines = list(dict.fromkeys(_decoded(source.lines(shown, places))))
    causes: dict[tuple[str, str], dict[str, None]] = {}
    for line in lines:
        if line.message == _NOT_SETTLED:
            causes.setdefault((line.service, line.function_request_id), {})[line.cause] = None
    told: list[Told] = []
    for line in lines:
        place = Place(line.stream, line.shard_id or "", line.sequence_number)
        # A record that is no valid event has no id in its line.
        if line.image_id == shown or place in places:
            told += _of_the_image(line, place)
        elif line.message == _BATCH:
            cause = "; ".join(causes.get((line.service, line.function_request_id), {}))
            told += [_of_a_batch(line, place, cause) for place in places if line.covers(place)]
    return LogsRead(told, source.complete)


def _decoded(lines: Iterable[bytes]) -> Iterator[LogLine]:
    for line in lines:
        # A process that ended may have left a part of a line.
        with suppress(msgspec.MsgspecError, ValueError):
            yield msgspec.json.decode(line, type=LogLine)


def _of_the_image(line: LogLine, place: Place) -> Iterator[Told]:
    if line.message == _QUARANTINED:
        detail = f"{line.reason}: {line.detail}" if line.detail else line.reason
        yield Told(
            "quarantined", line.at, "log", place, detail, line.service, version=line.image_version
        )
    elif line.message == LATE_EVENT:
        yield Told(
            "late", line.at, "log", place, line.message, line.service, version=line.image_version
        )


def _of_a_batch(line: LogLine, place: Place, cause: str) -> Told:
    number = int(place.sequence_number)
    named = [int(one) for one in line.unsettled]
    beyond = len(named) < line.failed and number > max(named, default=0)
    if number in named or beyond:
        detail = f"{'perhaps, ' if beyond else ''}{cause or 'its store did not take it'}"
        return Told("not_settled", line.at, "log", place, detail, line.service)
    counts = {
        "applied": line.applied,
        "duplicate": line.duplicate,
        "stale": line.stale,
    }
    fates = [name for name, count in counts.items() if count]
    only = len(fates) == 1 and not line.failed
    detail = fates[0] if only else f"in a batch of {line.records} records: {_counted(counts)}"
    return Told("settled", line.at, "log", place, detail, line.service)


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items() if count) or "none applied"


def _quoted(text: str) -> str:
    r"""Text between the quotes of a filter pattern."""
    return text.replace("\\", "\\\\").replace('"', '\\"')
