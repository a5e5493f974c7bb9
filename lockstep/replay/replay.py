"""The replay: deliver the records of the image stream since a time again, to both stores.

The version check makes this safe at any time: what a store has already, or has newer, stays. A
record over `LONGEST_RETENTION` old is never read. The tombstone of a deletion that is newer than
the record may have expired by then (docs/internals/invariants.md, Deletions), so the record could
bring a deleted image back.
"""

import datetime as dt
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from itertools import batched
from typing import Literal, Protocol

import msgspec
from botocore.exceptions import BotoCoreError, ClientError

from lockstep.console.errors import UserError
from lockstep.replay.progress import ProgressFiles, ReplayProgress
from lockstep.replay.reading import Patience, StreamReading, pause_after
from lockstep.replay.settled import QuarantineOfTheUnsettled
from lockstep.stream.kinesis import StreamSummary
from lockstep.stream.lambda_record import lambda_record
from lockstep.stream.stream import Stream, StreamRecord, StreamUnavailableError
from shared.batch import Delivery
from shared.clock import Clock
from shared.deliver import deliver
from shared.horizon import LONGEST_RETENTION
from shared.pace import Pace
from shared.quarantine import TABLE_CONSUMER, record_key
from shared.rfc3339 import rfc3339
from shared.sink import Sink

DEFAULT_RATE = 200
# As the consumer of the table: four requests to it, one to the index.
MOST_IN_A_BATCH = 100
# How often the progress is saved. After an interruption, what was replayed since then is replayed
# again.
SAVE_SECONDS = 5.0
# While only the stream is read, an operator waits for the answer.
READ_ATTEMPTS = 5

Store = Literal["table", "index"]


class UnreadableStreamError(UserError):
    """The stream cannot be read; the message says why."""


class ReplayStream(Stream, Protocol):
    """The image stream, as a replay reads it."""

    def summary(self) -> StreamSummary:
        """What the stream is."""
        ...


class ReplayTarget(msgspec.Struct, frozen=True):
    """One store, and the consumer whose part the replay takes.

    `consumer` is its name in the quarantine.
    """

    store: Store
    consumer: str
    sink: Sink
    quarantine: QuarantineOfTheUnsettled


class ReplayParts(msgspec.Struct, frozen=True):
    """What a replay uses.

    Attributes:
        name: the name of the stream.
        stream: reads it.
        region: the AWS region of the stream.
        targets: both stores.
        files: keeps the progress.
        discarded: lists the records that operators have discarded: the keys that the table's
            consumer gave them in the quarantine. Neither store gets them.
        clock: time and random numbers.
        timeout: seconds for one delivery, as an invocation has them.
        rate: records a second, at most.
        on_wait: is told why the replay waits.
    """

    name: str
    stream: ReplayStream
    region: str
    targets: Sequence[ReplayTarget]
    files: ProgressFiles
    discarded: Callable[[], AbstractSet[str]]
    clock: Clock
    timeout: float
    rate: float
    on_wait: Callable[[str], None]


class UnfinishedReplay(msgspec.Struct, frozen=True):
    """A replay that was interrupted, or that runs now."""

    id: str
    since: str
    records: int


class Span(msgspec.Struct, frozen=True):
    """Which records a replay reads. Times are of arrival, in RFC 3339.

    Attributes:
        since: the time that was asked for.
        read_from: the time from which all records are read, up to `until`.
        until: the start of the run: later records are not part of it.
        complete: no record since `since` is missing, as far as anybody can know.
        too_old: some of the time is over `LONGEST_RETENTION` ago.
    """

    since: str
    read_from: str
    until: str
    complete: bool
    too_old: bool = False


class ReplayPlan(msgspec.Struct, frozen=True):
    """What a replay would read.

    `oldest` is the arrival of the oldest record in the stream; None if there is none. `shards`
    counts the records to deliver. `seconds` is how long the replay takes at least.
    """

    span: Span
    oldest: str | None
    shards: Mapping[str, int]
    records: int
    rate: float
    seconds: float
    unfinished: Sequence[UnfinishedReplay]


class Replayed(msgspec.Struct, frozen=True):
    """What a replay did, or has done so far.

    Attributes:
        id: the ID of the replay, to resume it.
        span: which records were read.
        shards: how many shards have records that are replayed.
        records: how many records are settled in both stores.
        last_arrival: the arrival of the last one of these in this run; None if there is none yet.
        outcomes: for each store, how many records had which outcome.
        redriven: how many records were left out of the quarantine, because they were redriven
            before.
        seconds: how long it took, without interruptions.
        discarded: how many records were left out, because an operator has discarded them.
    """

    id: str
    span: Span
    shards: int
    records: int
    last_arrival: str | None
    outcomes: Mapping[str, Mapping[str, int]]
    redriven: int
    seconds: float
    discarded: int = 0


class Replay:
    """One replay; use it once."""

    def __init__(self, parts: ReplayParts, progress: ReplayProgress) -> None:
        """Set up a replay that continues at `progress`."""
        self._parts = parts
        self._clock = parts.clock
        self._progress = progress
        self._fates = {
            one.store: Counter[str](progress.fates.get(one.store, {})) for one in parts.targets
        }
        self._records = progress.records
        self._seconds = progress.seconds
        self._began = self._clock.elapsed()
        self._saved_at = self._began
        self._reading: StreamReading | None = None
        self._oldest: int | None = None
        self._last_arrival: str | None = None
        self._discarded: AbstractSet[str] = frozenset()
        self._left_out = progress.discarded

    def plan(self, on_progress: Callable[[int], None] = lambda _: None) -> ReplayPlan:
        """Read the records, without delivering them, and count them.

        Raises:
            StreamReplacedError: the stream was created again since this replay began.
            UnreadableStreamError: the stream does not answer.
        """
        counts: Counter[str] = Counter()
        with self._answering():
            reading = self._read(READ_ATTEMPTS)
            for page in reading.pages():
                counts[page.shard_id] += len(self._young(page.records))
                reading.advance(page.shard_id, page.records[-1])
                on_progress(counts.total())
        unfinished = [
            UnfinishedReplay(name, moment(one.since), one.records)
            for name, one in self._parts.files.all()
        ]
        return ReplayPlan(
            span=self._span(),
            oldest=None if self._oldest is None else moment(self._oldest),
            shards={shard_id: counts[shard_id] for shard_id in reading.shards},
            records=counts.total(),
            rate=self._parts.rate,
            seconds=round(counts.total() / self._parts.rate, 1),
            unfinished=unfinished,
        )

    def apply(
        self, replay_id: str, on_progress: Callable[[Replayed], None] = lambda _: None
    ) -> Replayed:
        """Deliver the records to both stores, until all are settled.

        The progress is saved under this ID, also if the replay is interrupted, and deleted at the
        end. `on_progress` is called for the first time when the progress is saved first.

        Raises:
            StreamReplacedError: the stream was created again since this replay began.
            UnreadableStreamError: no permission to read the stream, or it does not answer at all.
            MisconfiguredError: a store is not what the consumers expect.
        """
        pace = Pace(self._parts.rate, self._clock)
        size = max(1, min(MOST_IN_A_BATCH, int(self._parts.rate)))
        with self._answering():
            arn = self._parts.stream.summary().arn
            self._discarded = self._parts.discarded()
            reading = self._read(None)
            self._save(replay_id)
            try:
                on_progress(self._so_far(replay_id))
                for page in reading.pages():
                    for batch in batched(page.records, size):
                        self._settle(page.shard_id, batch, arn)
                        reading.advance(page.shard_id, batch[-1])
                        self._last_arrival = moment(batch[-1].arrived_at)
                        on_progress(self._so_far(replay_id))
                        self._save_if_due(replay_id)
                        pace.spend(len(batch))
            except BaseException:
                self._try_to_save(replay_id)
                raise
        self._parts.files.delete(replay_id)
        return self._so_far(replay_id)

    @contextmanager
    def _answering(self) -> Iterator[None]:
        try:
            yield
        except StreamUnavailableError as error:
            raise UnreadableStreamError(f"stream {self._parts.name}: {error}") from error

    def _read(self, attempts: int | None) -> StreamReading:
        """Begin to read where the progress ends."""
        summary = self._parts.stream.summary()
        asked = self._progress.since
        reading = StreamReading(
            self._parts.stream,
            since=max(asked, self._too_old()),
            summary=summary,
            clock=self._clock,
            patience=Patience(self._parts.on_wait, attempts),
            held_from=self._progress.held_from,
            reached=self._progress.shards,
        )
        self._oldest = reading.oldest()
        if self._progress.held_from is None:
            reading.prove(self._oldest)
        self._reading = reading
        return reading

    def _too_old(self) -> int:
        """Records that arrived before this time, in milliseconds since 1970, are not read."""
        return round((self._clock.now() - LONGEST_RETENTION.total_seconds()) * 1000)

    def _young(self, records: Sequence[StreamRecord]) -> list[StreamRecord]:
        """The records that are not too old now: some may have been when the replay began."""
        limit = self._too_old()
        young = [one for one in records if one.arrived_at >= limit]
        if len(young) < len(records) and self._reading is not None:
            self._reading.skip_before(limit)
        return young

    def _settle(self, shard_id: str, batch: Sequence[StreamRecord], stream_arn: str) -> None:
        """Deliver a batch to each store, until no record is left."""
        young = self._young(batch)
        needed = [one for one in young if self._key(shard_id, one) not in self._discarded]
        self._left_out += len(young) - len(needed)
        for target in self._parts.targets:
            left = needed
            failures = 0
            while left:
                delivery = self._deliver(target, shard_id, left, stream_arn)
                done = Counter(delivery.counts)
                del done["Failed"]
                self._fates[target.store].update(done)
                unsettled = frozenset(delivery.unsettled)
                left = [one for one in left if one.sequence_number in unsettled]
                if left:
                    failures = 1 if done else failures + 1
                    self._parts.on_wait(f"{target.store}: {next(iter(delivery.failures))}")
                    self._clock.sleep(pause_after(failures))
                    left = self._young(left)
        self._records += len(young)

    def _key(self, shard_id: str, record: StreamRecord) -> str:
        return record_key(TABLE_CONSUMER, self._parts.name, shard_id, record.sequence_number)

    def _deliver(
        self,
        target: ReplayTarget,
        shard_id: str,
        records: Sequence[StreamRecord],
        stream_arn: str,
    ) -> Delivery:
        end = self._clock.elapsed() + self._parts.timeout
        return deliver(
            [
                msgspec.to_builtins(
                    lambda_record(
                        one,
                        shard_id=shard_id,
                        stream_arn=stream_arn,
                        region=self._parts.region,
                        role_arn="",
                    )
                )
                for one in records
            ],
            to=target.sink,
            quarantine=target.quarantine,
            function=target.consumer,
            clock=self._clock,
            remaining=lambda: end - self._clock.elapsed(),
        )

    def _so_far(self, replay_id: str) -> Replayed:
        return Replayed(
            id=replay_id,
            span=self._span(),
            shards=sum(
                one.sequence_number is not None for one in self._now_reading.reached.values()
            ),
            records=self._records,
            last_arrival=self._last_arrival,
            outcomes=self._reported(),
            redriven=self._redriven(),
            seconds=round(self._elapsed(), 1),
            discarded=self._left_out,
        )

    def _span(self) -> Span:
        since, held_from = self._progress.since, self._now_reading.held_from
        return Span(
            since=moment(since),
            read_from=moment(held_from),
            until=moment(self._now_reading.until),
            complete=held_from <= since,
            too_old=since < self._too_old(),
        )

    def _reported(self) -> Mapping[str, Mapping[str, int]]:
        return {store: dict(sorted(counts.items())) for store, counts in self._fates.items()}

    def _redriven(self) -> int:
        return self._progress.redriven + sum(one.quarantine.redriven for one in self._parts.targets)

    def _elapsed(self) -> float:
        return self._seconds + self._clock.elapsed() - self._began

    @property
    def _now_reading(self) -> StreamReading:
        if self._reading is None:
            raise RuntimeError("nothing is read yet")
        return self._reading

    def _save_if_due(self, replay_id: str) -> None:
        if self._clock.elapsed() - self._saved_at >= SAVE_SECONDS:
            self._try_to_save(replay_id)

    def _try_to_save(self, replay_id: str) -> None:
        """Save the progress; without it, only more is replayed again after an interruption."""
        try:
            self._save(replay_id)
        except (BotoCoreError, ClientError) as error:
            self._parts.on_wait(f"the progress is not saved: {error}")

    def _save(self, replay_id: str) -> None:
        reading = self._now_reading
        self._parts.files.save(
            replay_id,
            ReplayProgress(
                stream=self._parts.name,
                since=self._progress.since,
                held_from=reading.held_from,
                shards=reading.reached,
                records=self._records,
                fates=self._reported(),
                redriven=self._redriven(),
                seconds=round(self._elapsed(), 1),
                discarded=self._left_out,
            ),
        )
        self._saved_at = self._clock.elapsed()


def moment(milliseconds: int) -> str:
    """A time in milliseconds since 1970, in RFC 3339."""
    return rfc3339(dt.datetime.fromtimestamp(milliseconds / 1000, dt.UTC), "milliseconds")
