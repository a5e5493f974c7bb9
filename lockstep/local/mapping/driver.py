"""Performs the steps of one shard: with a real stream, real workers and real time.

Each invocation and each write of a failure document has its own thread.
"""

import datetime as dt
import logging
import math
import queue
import random
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol

import msgspec

from lockstep.local.mapping import invocation
from lockstep.local.mapping.batch import PAYLOAD_BYTES, BatchRecord, payload
from lockstep.local.mapping.core import Shard
from lockstep.local.mapping.failure import (
    Destination,
    DestinationError,
    failure_document,
)
from lockstep.local.mapping.invocation import EventSource
from lockstep.local.mapping.lane import pause_after
from lockstep.local.mapping.measures import Measures, Unmeasured
from lockstep.local.mapping.pool import StoppedError
from lockstep.local.mapping.response import Errored, InvocationResult, Throttled
from lockstep.local.mapping.steps import (
    Advance,
    Discard,
    Finished,
    Halved,
    Invoke,
    Progressed,
    Read,
    RetriesExhausted,
    Retrying,
    Settled,
    Turn,
    Wait,
)
from lockstep.local.mapping.windows import windowed
from lockstep.stream.checkpoints import Checkpoints
from lockstep.stream.gaps import GapFinder, RunTimes
from lockstep.stream.stream import (
    AfterSequenceNumber,
    Position,
    PositionLostError,
    ShardNotFoundError,
    ShardReader,
    Stream,
    StreamRecord,
    StreamUnavailableError,
)

# How soon a shard with running invocations notices a stop.
STOP_SECONDS = 0.2

log = logging.getLogger(__name__)


class Invoker(Protocol):
    """Invokes the function."""

    def invoke(self, event: bytes, request_id: str) -> InvocationResult:
        """Invoke the function once.

        Raises:
            StoppedError: the mapping is being stopped.
        """
        ...

    def close(self, grace: float) -> None:
        """Start no invocations; running ones may end within `grace` seconds."""
        ...


class Announces(Protocol):
    """Says that a stream has something new."""

    def after(self, state: str) -> str:
        """Wait until its state is another one, but not for long; return its state.

        Raises:
            StreamUnavailableError: nobody says it now.
        """
        ...


class Collaborators(msgspec.Struct, frozen=True):
    """What a mapping uses: stream, function, checkpoints, on-failure destination, metrics.

    `destination` is None if there is none. `entry` turns a record of the stream into a record of
    a batch. Without `measures`, nothing is measured. Without `announcements`, each shard is read
    all the time.
    """

    stream: Stream
    invoker: Invoker
    checkpoints: Checkpoints
    destination: Destination | None
    entry: Callable[[StreamRecord, EventSource], BatchRecord] = invocation.entry
    measures: Measures = Unmeasured()
    announcements: Announces | None = None


class Outage:
    """Logs once that the stream is unavailable, and once that it is available again."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lasting = False

    def began(self, cause: str) -> None:
        """A request failed."""
        with self._lock:
            if not self._lasting:
                log.warning("the stream is unavailable, retrying: %s", cause)
            self._lasting = True

    def ended(self) -> None:
        """A request succeeded."""
        with self._lock:
            if self._lasting:
                log.info("the stream is available again")
            self._lasting = False


class _InvocationEnded(msgspec.Struct, frozen=True):
    """An invocation ended with this result."""

    step: Invoke
    request_id: str
    answer: InvocationResult


class _DocumentWritten(msgspec.Struct, frozen=True):
    """The address of a failure document that was written, or why it may not be written."""

    step: Discard
    address: str | DestinationError


class _ThreadFailed(msgspec.Struct, frozen=True):
    """A thread ended with an error."""

    error: BaseException


class _Rung(msgspec.Struct, frozen=True):
    """Something may have arrived, or the mapping stops."""


class ShardDriver:
    """Performs the steps of one shard, one after the other.

    Only invocations and writes of failure documents run in their own threads.
    """

    def __init__(
        self,
        shard: Shard,
        source: EventSource,
        collaborators: Collaborators,
        *,
        starting_number: str,
        start: Position,
        again: Position,
        stopping: threading.Event,
        outage: Outage,
    ) -> None:
        self._shard = shard
        self._source = source
        self._collaborators = collaborators
        self._starting_number = starting_number
        self._reader: ShardReader = collaborators.stream.reader(source.shard_id, start)
        self._gaps = GapFinder(
            source.shard_id,
            starting_number=starting_number,
            after=start.sequence_number if isinstance(start, AfterSequenceNumber) else "",
            times=run_times(collaborators.checkpoints),
        )
        self._again = again
        self._stopping = stopping
        self._outage = outage
        self._failed_reads = 0  # in a row
        self._failed_writes = 0  # of failure documents, in a row
        self._running = 0
        self._ended: queue.SimpleQueue[
            _InvocationEnded | _DocumentWritten | _ThreadFailed | _Rung
        ] = queue.SimpleQueue()
        self._is_rung = False

    def ring(self) -> None:
        """End a wait: something may have arrived, or the mapping stops. Any thread may call it."""
        if not self._is_rung:
            self._is_rung = True
            self._ended.put(_Rung())

    def run(self) -> None:
        """Perform steps until the shard is finished or the mapping is stopped.

        After a stop, the checkpoint still moves to what is settled by then.
        """
        while True:
            step = self._shard.next(time.time())
            if self._stopping.is_set() and not isinstance(step, Advance):
                if not self._running:
                    return
                self._wait(math.inf)
                continue
            match step:
                case Read(limit):
                    self._read(limit)
                case Invoke() as invoke:
                    self._start_thread(invoke, partial(self._invoke, invoke))
                case Discard() as discard:
                    self._discard(discard)
                case Advance(sequence_number):
                    self._collaborators.checkpoints.advance(self._source.shard_id, sequence_number)
                    self._shard.checkpoint_saved()
                case Wait(until):
                    self._wait(until)
                case Finished():
                    self._collaborators.checkpoints.end(
                        self._source.shard_id, self._starting_number
                    )
                    log.info(
                        "%s: the shard has ended and all its records are settled",
                        self._source.shard_id,
                    )
                    return

    def _read(self, limit: int) -> None:
        try:
            read = self._reader.read(limit)
        except StreamUnavailableError as error:
            if isinstance(error, ShardNotFoundError) and self._expired():
                log.warning(
                    "%s: the shard has expired; records that were not read are lost",
                    self._source.shard_id,
                )
                if not self._gaps.tells_time:
                    # Otherwise the endpoint's file shows what was not read (stream/backlog.py).
                    self._collaborators.checkpoints.lost(self._gaps.unread(until=time.time()))
                self._shard.records_read([], behind=False, ended=True, now=time.time())
                return
            self._outage.began(str(error))
            self._read_again_later()
            return
        except PositionLostError as error:
            log.warning(
                "%s: checkpoint lost, starting over: %s",
                self._source.shard_id,
                error,
            )
            self._collaborators.checkpoints.lost(self._gaps.position_lost(now=time.time()))
            self._reader = self._collaborators.stream.reader(self._source.shard_id, self._again)
            self._read_again_later()
            return
        self._outage.ended()
        self._failed_reads = 0
        self._collaborators.measures.of_mapping("PolledEventCount", len(read.records))
        if read.records:
            self._note_gap(read.records)
        entries = [self._collaborators.entry(record, self._source) for record in read.records]
        self._shard.records_read(entries, behind=read.behind, ended=read.ended, now=time.time())

    def _note_gap(self, records: Sequence[StreamRecord]) -> None:
        """Store, durably, which records the stream removed before these were read."""
        first, last = records[0], records[-1]
        found = self._gaps.read(
            first.sequence_number, first.arrived_at / 1000, last.sequence_number
        )
        if found is None:
            return
        self._collaborators.checkpoints.lost(found)
        log.warning(
            "%s: the stream had removed %s records before they were read, from %r to %s",
            found.shard_id,
            "some" if found.records is None else found.records,
            found.after,
            found.before,
        )

    def _read_again_later(self) -> None:
        self._shard.read_failed(again=time.time() + _pause_after(self._failed_reads))
        self._failed_reads += 1

    def _expired(self) -> bool:
        """Whether the stream is available and does not list this shard any more."""
        try:
            listed = self._collaborators.stream.shards()
        except StreamUnavailableError:
            return False
        return all(shard.shard_id != self._source.shard_id for shard in listed)

    def _start_thread(
        self, step: Invoke | Discard, run: Callable[[], _InvocationEnded | _DocumentWritten]
    ) -> None:
        """Run a step in its own thread; `_wait` gets its result."""

        def body() -> None:
            try:
                self._ended.put(run())
            except BaseException as error:  # noqa: BLE001  # raised again in the shard's thread
                self._ended.put(_ThreadFailed(error))

        self._running += 1
        name = f"{self._source.shard_id}/{step.lane}"
        threading.Thread(target=body, name=name, daemon=True).start()

    def _invoke(self, step: Invoke) -> _InvocationEnded:
        request_id = str(uuid.uuid4())
        event = self._event(step)
        if len(event) > PAYLOAD_BYTES:
            message = f"{len(event)} bytes, at most {PAYLOAD_BYTES}"
            return _InvocationEnded(step, request_id, Errored("RequestEntityTooLarge", message))
        measures = self._collaborators.measures
        if step.entries:
            age = time.time() - step.entries[-1].arrived_at
            measures.of_function("IteratorAge", max(0, round(age * 1000)))
        answer = self._collaborators.invoker.invoke(event, request_id)
        if isinstance(answer, Throttled):
            measures.of_function("Throttles", 1)
        else:
            measures.of_function("Errors", int(isinstance(answer, Errored)))
        return _InvocationEnded(step, request_id, answer)

    def _event(self, step: Invoke) -> bytes:
        if step.view is None:
            return payload(step.entries)
        source = self._source
        return windowed(
            step.entries, step.view, shard_id=source.shard_id, stream_arn=source.stream_arn
        )

    def _wait(self, until: float) -> None:
        """Wait until that time, until a running step ends, or until the mapping is stopped."""
        seconds = max(0.0, until - time.time())
        try:
            ended = self._ended.get(
                timeout=min(seconds, STOP_SECONDS) if self._running else seconds
            )
        except queue.Empty:
            return
        if isinstance(ended, _Rung):
            self._is_rung = False
            self._shard.arrived()
            return
        self._running -= 1
        match ended:
            case _InvocationEnded(step, request_id, answer):
                turn = self._shard.invocation_ended(
                    answer, request_id=request_id, now=time.time(), lane=step.lane
                )
                self._log(turn, step.entries)
            case _DocumentWritten(step, DestinationError() as error):
                self._collaborators.measures.of_function("DestinationDeliveryFailures", 1)
                log.warning(
                    "%s: the failure document was not written: %s", self._source.shard_id, error
                )
                again = time.time() + _pause_after(self._failed_writes)
                self._shard.discard_failed(again=again, lane=step.lane)
                self._failed_writes += 1
            case _DocumentWritten(step, str() as address):
                self._failed_writes = 0
                self._collaborators.measures.of_mapping(
                    "OnFailureDestinationDeliveredEventCount", len(step.entries)
                )
                self._discarded(step, address)
            case _ThreadFailed(StoppedError()):
                pass  # the result is unknown: the batch is invoked again after the next start
            case _ThreadFailed(error):
                raise error

    def _discard(self, discard: Discard) -> None:
        destination = self._collaborators.destination
        if not discard.entries:
            self._shard.discarded(lane=discard.lane)
            log.warning("%s: discarded the final invocation of a window", self._source.shard_id)
        elif destination is None:
            self._collaborators.measures.of_mapping("DroppedEventCount", len(discard.entries))
            self._discarded(discard, "no on-failure destination")
        else:
            self._start_thread(discard, partial(self._write_document, discard, destination))

    def _write_document(self, discard: Discard, destination: Destination) -> _DocumentWritten:
        at = dt.datetime.now(dt.UTC)
        document = failure_document(discard, self._source, at=at, new_id=lambda: str(uuid.uuid4()))
        try:
            return _DocumentWritten(discard, destination.write(document, at))
        except DestinationError as error:
            return _DocumentWritten(discard, error)

    def _discarded(self, discard: Discard, address: str) -> None:
        self._shard.discarded(lane=discard.lane)
        log.warning(
            "%s: discarded %d records from %s, %s after %d invocations: %s",
            self._source.shard_id,
            len(discard.entries),
            discard.entries[0].sequence_number,
            discard.condition,
            discard.invocations,
            address,
        )

    def _log(self, turn: Turn, entries: tuple[BatchRecord, ...]) -> None:
        records = (
            f"{len(entries)} records from {entries[0].sequence_number}" if entries else "window"
        )
        first = f"{self._source.shard_id}: {records}"
        match turn:
            case Settled():
                log.debug("%s: settled", first)
            case Progressed(cause, done, left):
                log.info("%s: %d settled, %d continue: %s", first, done, left, cause)
            case Halved(cause, _):
                log.warning("%s: split in two: %s", first, cause)
            case Retrying(cause, _, pause):
                log.warning("%s: retry in %.1f s: %s", first, pause, cause)
            case RetriesExhausted(cause, _):
                log.warning("%s: no retries left: %s", first, cause)


def run_times(checkpoints: Checkpoints) -> RunTimes:
    """When the mapping was created and when it stopped, for what is lost meanwhile."""
    return RunTimes(checkpoints.created_at, checkpoints.stopped_at)


def _pause_after(failures: int) -> float:
    """Seconds to wait after one more failure of the stream or the destination."""
    return pause_after(failures, random.random())  # noqa: S311  # jitter
