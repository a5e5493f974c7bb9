"""Reads a stream from a time up to its present end: each shard in order, parents before children.

A reading knows from when on it has read everything: the stream may have held less than was asked
for, and records may expire while it runs.
"""

import datetime as dt
from collections.abc import Callable, Iterator, Mapping

import msgspec

from lockstep.console.errors import UserError
from lockstep.stream.kinesis import StreamSummary
from lockstep.stream.order import startable
from lockstep.stream.stream import (
    READ_EVERY_SECONDS,
    READ_RECORDS,
    SKEW,
    AfterSequenceNumber,
    AtTimestamp,
    ListedShard,
    Position,
    PositionLostError,
    Records,
    ShardNotFoundError,
    ShardReader,
    Stream,
    StreamDeniedError,
    StreamRecord,
    StreamUnavailableError,
    TrimHorizon,
)
from shared.clock import Clock

FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 30.0
# So many requests in a row may find that the stream does not have the position.
LOST_MOST = 5
# The shortest retention that Kinesis allows: whatever the retention was, this is in the stream.
SHORTEST_RETENTION = dt.timedelta(days=1)


class StreamReplacedError(UserError):
    """The stream is not the one that was read before."""


class Reached(msgspec.Struct, frozen=True):
    """How far a shard is read.

    `arrived_at`, in milliseconds since 1970, is the arrival of the last record, whose sequence
    number this is. `ended`: the shard is closed and read to its end.
    """

    arrived_at: int
    sequence_number: str | None = None
    ended: bool = False


class ReplayPage(msgspec.Struct, frozen=True):
    """Records of one shard, in order."""

    shard_id: str
    records: list[StreamRecord]


class Patience(msgspec.Struct, frozen=True):
    """What to do while the stream does not answer.

    `on_wait` is told the cause of each pause. `attempts`: raise the error after so many in a row;
    None: try until it answers.
    """

    on_wait: Callable[[str], None]
    attempts: int | None


class StreamReading:
    """One reading of a stream.

    `reached` says how far each shard is read; the caller moves it with `advance`. `held_from`, in
    milliseconds since 1970, is the time from which all records are read, up to the end.
    """

    def __init__(
        self,
        stream: Stream,
        *,
        since: int,
        summary: StreamSummary,
        clock: Clock,
        patience: Patience,
        held_from: int | None = None,
        reached: Mapping[str, Reached] | None = None,
    ) -> None:
        """List the shards: what arrives from now on is not part of this reading.

        Args:
            stream: what to read.
            since: read records that arrived then or later; milliseconds since 1970.
            summary: the stream's creation and retention.
            clock: the time.
            patience: what to do while the stream does not answer.
            held_from: of an earlier reading that this one continues.
            reached: of the same reading.

        Raises:
            StreamReplacedError: the stream was created again after that earlier reading.
            StreamUnavailableError: the stream does not answer.
        """
        self._stream = stream
        self._since = since
        self._retention = round(summary.retention * 1000)
        self._created_at = round(summary.created_at * 1000)
        self._clock = clock
        self._patience = patience
        self.until = self._now()
        self.held_from = max(since, since if held_from is None else held_from)
        self.reached = dict(reached or {})
        self._shards = self._listed()
        self._readers: dict[str, ShardReader] = {}
        self._not_before: dict[str, float] = {}
        self._lost = 0  # in a row
        for shard_id, place in self.reached.items():
            self._check(shard_id, place)

    @property
    def shards(self) -> list[str]:
        """The IDs of all shards, closed ones too."""
        return list(self._shards)

    def oldest(self) -> int | None:
        """The arrival of the oldest record in the stream, in milliseconds since 1970.

        Raises:
            StreamUnavailableError: the stream does not answer.
        """
        arrivals = [
            first.arrived_at for shard_id in self._shards if (first := self._first(shard_id))
        ]
        return min(arrivals, default=None)

    def prove(self, oldest: int | None) -> None:
        """Say from when on the stream holds all records; `held_from` follows.

        A record that arrived before a time proves that the stream holds all records since then. The
        present retention proves nothing: it may have been shorter before.

        Args:
            oldest: see `oldest`.
        """
        if oldest is not None and oldest <= self._since:
            return
        day_ago = self.until - _milliseconds(SHORTEST_RETENTION)
        if max(self._since, self._created_at) < day_ago:
            self._lose(min(day_ago, day_ago if oldest is None else oldest))

    def pages(self) -> Iterator[ReplayPage]:
        """Read all shards; records of the shard that is furthest back come first.

        Raises:
            StreamUnavailableError: the stream does not answer.
        """
        parents = {shard_id: shard.parents for shard_id, shard in self._shards.items()}
        closed = frozenset[str]().union(*parents.values())
        last = self.until + _milliseconds(SKEW)
        ended = {shard_id for shard_id, place in self.reached.items() if place.ended}
        while ready := startable(parents, ended=ended):
            shard_id = min(ready, key=self._arrival)
            read = self._read(shard_id)
            if read is None:
                ended.add(shard_id)
                continue
            records = [one for one in read.records if self._since <= one.arrived_at <= last]
            if records:
                yield ReplayPage(shard_id, records)
            if read.ended:
                self._end(shard_id)
            passed = bool(read.records) and read.records[-1].arrived_at > last
            # A closed shard is read to its end before its children are.
            at_end = passed or not read.behind
            if read.ended or (at_end and shard_id not in closed):
                ended.add(shard_id)

    def advance(self, shard_id: str, record: StreamRecord) -> None:
        """All records of the shard up to this one are done."""
        self.reached[shard_id] = Reached(record.arrived_at, record.sequence_number)

    def skip_before(self, moment: int) -> None:
        """Some records that arrived before this time are left out."""
        self._lose(moment)

    def _read(self, shard_id: str) -> Records | None:
        """The next records of a shard; None if it has expired."""
        pause = self._not_before.get(shard_id, 0.0) - self._clock.elapsed()
        if pause > 0:
            self._clock.sleep(pause)
        # What is older may have expired since the shard was read last.
        gone_before = self._now() - self._retention
        if self._arrival(shard_id) < gone_before:
            self._lose(gone_before)
        try:
            read = self._answered(lambda: self._reader(shard_id).read(READ_RECORDS))
        except PositionLostError as error:
            self._lost += 1
            if self._lost == LOST_MOST:
                raise StreamUnavailableError(f"{shard_id}: {error}") from error
            self._lose(gone_before)
            # From the oldest record on that is still there.
            place = self.reached.get(shard_id)
            position = AtTimestamp((self._since if place is None else place.arrived_at) / 1000)
            self._readers[shard_id] = self._stream.reader(shard_id, position)
            return Records((), behind=True, ended=False)
        except ShardNotFoundError:
            if shard_id in self._listed():
                raise
            self._lose(gone_before)
            return None
        finally:
            self._not_before[shard_id] = self._clock.elapsed() + READ_EVERY_SECONDS
        self._lost = 0
        return read

    def _reader(self, shard_id: str) -> ShardReader:
        if shard_id not in self._readers:
            place = self.reached.get(shard_id)
            position: Position
            if place is None or place.sequence_number is None:
                # A second earlier: Kinesis clients may round the time.
                position = AtTimestamp(self._since / 1000 - 1)
            else:
                position = AfterSequenceNumber(place.sequence_number)
            self._readers[shard_id] = self._stream.reader(shard_id, position)
        return self._readers[shard_id]

    def _arrival(self, shard_id: str) -> int:
        """No record of this shard that is not read yet arrived before this time."""
        place = self.reached.get(shard_id)
        if place is not None:
            return max(self.held_from, place.arrived_at)
        above = [self._arrival(one) for one in self._shards[shard_id].parents & self.reached.keys()]
        return max([self.held_from, self._created_at, *above])

    def _end(self, shard_id: str) -> None:
        place = self.reached.get(shard_id, Reached(self._since))
        self.reached[shard_id] = msgspec.structs.replace(place, ended=True)

    def _lose(self, before: int) -> None:
        self.held_from = max(self.held_from, before)

    def _first(self, shard_id: str) -> StreamRecord | None:
        reader = self._stream.reader(shard_id, TrimHorizon())
        while True:
            try:
                read = self._answered(lambda: reader.read(1))
            except (PositionLostError, ShardNotFoundError):
                return None
            if read.records:
                return read.records[0]
            if read.ended or not read.behind:
                return None
            self._clock.sleep(READ_EVERY_SECONDS)

    def _check(self, shard_id: str, place: Reached) -> None:
        """Check that an earlier reading read this shard, not that of an earlier stream."""
        shard = self._shards.get(shard_id)
        if shard is None:
            if not place.ended:
                self._lose(self._now() - self._retention)
        elif place.sequence_number and not shard.may_have_issued(place.sequence_number):
            raise StreamReplacedError(
                f"{shard_id}: the stream was created again since this replay began: start a new "
                "one with --since"
            )

    def _listed(self) -> dict[str, ListedShard]:
        return {shard.shard_id: shard for shard in self._answered(self._stream.shards)}

    def _answered[T](self, request: Callable[[], T]) -> T:
        failures = 0
        while True:
            try:
                return request()
            except (StreamDeniedError, ShardNotFoundError):
                raise
            except StreamUnavailableError as error:
                failures += 1
                if failures == self._patience.attempts:
                    raise
                self._patience.on_wait(str(error))
                self._clock.sleep(pause_after(failures))

    def _now(self) -> int:
        return round(self._clock.now() * 1000)


def pause_after(failures: int) -> float:
    """Seconds to wait after so many failures in a row."""
    return float(min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2.0 ** min(failures - 1, 10)))


def _milliseconds(duration: dt.timedelta) -> int:
    return round(duration.total_seconds() * 1000)
