"""The mapping's process: lists the shards of the stream, and drives each of them in its own thread.

Each shard has its own thread and its own core, so that the back-off or a slow invocation of one
shard delays no other. All threads share the checkpoints' file and the pool of worker processes.
"""

import logging
import queue
import random
import threading
import time
from collections.abc import Callable, Mapping
from functools import partial

import msgspec

from lockstep.local.mapping.core import IDLE_READ_SECONDS, QUIET_READ_SECONDS, Shard
from lockstep.local.mapping.driver import (
    Announces,
    Collaborators,
    Outage,
    ShardDriver,
    run_times,
)
from lockstep.local.mapping.invocation import EventSource
from lockstep.local.mapping.settings import Settings
from lockstep.stream import sequence
from lockstep.stream.checkpoints import Checkpoint
from lockstep.stream.gaps import gap_after
from lockstep.stream.order import startable
from lockstep.stream.stream import (
    AfterSequenceNumber,
    AtTimestamp,
    ListedShard,
    Position,
    StreamUnavailableError,
    TrimHorizon,
)

# How often the shards are listed, to find a split or merge.
LIST_SECONDS = 2.0
# Running invocations may end within this time after a stop; all others are repeated later.
GRACE_SECONDS = 5.0
log = logging.getLogger(__name__)


class _ShardEnded(msgspec.Struct, frozen=True):
    shard_id: str


class _ShardCrashed(msgspec.Struct, frozen=True):
    shard_id: str
    error: BaseException


class _StopRequested(msgspec.Struct, frozen=True):
    pass


class Process:
    """Runs one event source mapping until it is stopped.

    The `shard_id` of `source` is set for each shard. While the stream announces what arrives, an
    idle shard is read every `quiet_seconds`.
    """

    def __init__(
        self,
        settings: Settings,
        source: EventSource,
        collaborators: Collaborators,
        *,
        quiet_seconds: float = QUIET_READ_SECONDS,
    ) -> None:
        self._quiet_seconds = quiet_seconds
        self._settings = settings
        self._source = source
        self._collaborators = collaborators
        self._stopping = threading.Event()
        self._events: queue.SimpleQueue[_ShardEnded | _ShardCrashed | _StopRequested] = (
            queue.SimpleQueue()
        )
        self._outage = Outage()
        self._shards: dict[str, Shard] = {}
        self._drivers: dict[str, ShardDriver] = {}
        self._threads: list[threading.Thread] = []

    def stop(self) -> None:
        """Make `run` return soon; a signal handler may call this."""
        self._stopping.set()
        self._events.put(_StopRequested())

    def run(self) -> None:
        """Process the stream until `stop`, or until an unexpected error ends a shard's thread.

        At the end, running invocations have `GRACE_SECONDS`; no new ones start.
        """
        announcements = self._collaborators.announcements
        if announcements is not None:
            listen = partial(self._listen, announcements)
            threading.Thread(target=listen, name="announcements", daemon=True).start()
        try:
            while not self._stopping.is_set():
                try:
                    self._start_shards()
                except StreamUnavailableError as error:
                    self._outage.began(str(error))
                self._wait_for_event()
        finally:
            self._stopping.set()
            self._ring()
            self._collaborators.invoker.close(GRACE_SECONDS)
            deadline = time.monotonic() + GRACE_SECONDS
            for thread in self._threads:
                thread.join(max(0.0, deadline - time.monotonic()))

    def _listen(self, announcements: Announces) -> None:
        """Wake the shards when something arrives. While nobody says so, they are polled."""
        state = ""
        while not self._stopping.is_set():
            try:
                state = announcements.after(state)
            except StreamUnavailableError:
                self._stopping.wait(IDLE_READ_SECONDS)
            self._ring()

    def _ring(self) -> None:
        for driver in list(self._drivers.values()):
            driver.ring()

    def _wait_for_event(self) -> None:
        """Wait for an event of a shard, or until it is time to list the shards again."""
        try:
            event = self._events.get(timeout=LIST_SECONDS)
        except queue.Empty:
            return
        match event:
            case _ShardEnded(shard_id):
                self._shards.pop(shard_id)
                self._drivers.pop(shard_id)
            case _ShardCrashed(_, error):
                raise error
            case _StopRequested():
                pass

    def _start_shards(self) -> None:
        """Start shards that may be read; pass the current retention to those that run."""
        listed = {shard.shard_id: shard for shard in self._collaborators.stream.shards()}
        retention = self._collaborators.stream.retention()
        self._outage.ended()
        self._collaborators.checkpoints.seen(time.time())
        for shard in self._shards.values():
            shard.retention = retention
        checkpoints = self._checkpoints(listed)
        parents = {shard_id: shard.parents for shard_id, shard in listed.items()}
        ended = {shard_id for shard_id, checkpoint in checkpoints.items() if checkpoint.ended}
        for shard_id in startable(parents, ended=ended):
            if shard_id in self._shards:
                continue
            shard = Shard(
                self._settings,
                retention=retention,
                chance=random.random,
                quiet_seconds=None
                if self._collaborators.announcements is None
                else self._quiet_seconds,
            )
            self._shards[shard_id] = shard
            driver = self._drivers[shard_id] = ShardDriver(
                shard,
                msgspec.structs.replace(self._source, shard_id=shard_id),
                self._collaborators,
                starting_number=listed[shard_id].starting_number,
                start=self._position(checkpoints.get(shard_id)),
                again=self._starting_position(),
                stopping=self._stopping,
                outage=self._outage,
            )
            self._threads = [one for one in self._threads if one.is_alive()]
            self._threads.append(self._start(shard_id, driver.run))

    def _checkpoints(self, listed: Mapping[str, ListedShard]) -> Mapping[str, Checkpoint]:
        """The checkpoints of the listed shards.

        A stream that is deleted and created again has the same shard IDs: checkpoints of the
        earlier stream are deleted. What that stream had after them is lost, so it is a gap.
        """
        found: dict[str, Checkpoint] = {}
        for shard_id, checkpoint in self._collaborators.checkpoints.all().items():
            if shard_id not in listed:
                continue
            number = checkpoint.sequence_number
            if listed[shard_id].may_have_issued(number):
                found[shard_id] = checkpoint
            else:
                created = sequence.time_of(listed[shard_id].starting_number)
                self._collaborators.checkpoints.forget(
                    gap_after(
                        number,
                        shard_id,
                        run_times(self._collaborators.checkpoints),
                        until=time.time() if created is None else created,
                    )
                )
                log.warning(
                    "%s: checkpoint lost, starting over: %s is of an earlier stream",
                    shard_id,
                    number,
                )
        return found

    def _start(self, shard_id: str, run: Callable[[], None]) -> threading.Thread:
        def body() -> None:
            try:
                run()
            except BaseException as error:  # noqa: BLE001  # raised again in the main thread
                self._events.put(_ShardCrashed(shard_id, error))
            else:
                self._events.put(_ShardEnded(shard_id))

        thread = threading.Thread(target=body, name=shard_id, daemon=True)
        thread.start()
        return thread

    def _position(self, checkpoint: Checkpoint | None) -> Position:
        if checkpoint is None:
            return self._starting_position()
        return AfterSequenceNumber(checkpoint.sequence_number)

    def _starting_position(self) -> Position:
        """The position of a shard without a checkpoint.

        LATEST is the time of the mapping's first start. So a restart misses no record, and a child
        shard that appears later is read from its beginning.
        """
        match self._settings.starting_position:
            case "TRIM_HORIZON":
                return TrimHorizon()
            case "LATEST":
                return AtTimestamp(self._collaborators.checkpoints.created_at())
            case "AT_TIMESTAMP":
                return AtTimestamp(self._settings.starting_timestamp or 0.0)
