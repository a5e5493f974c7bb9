"""The replay of a stack's image stream."""

import datetime as dt
from collections.abc import Callable

from doors.quarantine import BucketQuarantine
from functions.write_to_dynamodb.sink import ImageTable
from functions.write_to_es.sink import ImageIndex
from lockstep.quarantine.bucket import discarded_by_operators
from lockstep.replay.progress import ProgressFiles, ReplayProgress, UnknownReplayError
from lockstep.replay.replay import Replay, ReplayParts, ReplayTarget
from lockstep.replay.settled import QuarantineOfTheUnsettled
from lockstep.stack.clients import Clients
from lockstep.stack.stack import FUNCTION_TIMEOUT
from lockstep.stack.use_cases.stores import NO_LIMIT
from lockstep.stores.objects import BucketObjects
from lockstep.stream.kinesis import KinesisStream
from shared.quarantine import INDEX_CONSUMER, TABLE_CONSUMER

_EPOCH = dt.datetime.fromtimestamp(0, dt.UTC)


class StackReplay:
    """The replays of one stack. Both stores are written, whatever the source of the index is."""

    def __init__(self, clients: Clients, *, rate: float, on_wait: Callable[[str], None]) -> None:
        """Set up the clients; see `ReplayParts` for `rate` and `on_wait`."""
        stack = clients.stack
        objects = BucketObjects(clients.s3, stack.bucket)
        self._files = ProgressFiles(objects)

        def quarantine() -> QuarantineOfTheUnsettled:
            bucket = BucketQuarantine(clients.s3.put_object, stack.bucket, longest_put=NO_LIMIT)
            return QuarantineOfTheUnsettled(bucket, objects)

        self._parts = ReplayParts(
            name=stack.stream,
            stream=KinesisStream(clients.kinesis, stack.stream),
            region=stack.region,
            targets=[
                ReplayTarget(
                    "table",
                    TABLE_CONSUMER,
                    ImageTable(clients.dynamodb, stack.table, longest_request=NO_LIMIT),
                    quarantine(),
                ),
                ReplayTarget(
                    "index",
                    INDEX_CONSUMER,
                    ImageIndex(clients.opensearch, stack.index, longest_request=NO_LIMIT),
                    quarantine(),
                ),
            ],
            files=self._files,
            discarded=lambda: discarded_by_operators(objects, TABLE_CONSUMER),
            clock=clients.clock,
            timeout=FUNCTION_TIMEOUT.total_seconds(),
            rate=rate,
            on_wait=on_wait,
        )

    def start(self, since: dt.datetime) -> tuple[str, Replay]:
        """A new replay, ready to plan or to apply, and its ID."""
        milliseconds = (since - _EPOCH) // dt.timedelta(milliseconds=1)
        progress = ReplayProgress(self._parts.name, since=milliseconds)
        return self._files.new_id(self._parts.clock.now()), Replay(self._parts, progress)

    def resume(self, replay_id: str) -> Replay:
        """A replay that was interrupted, ready to plan or to apply the rest of it.

        Raises:
            UnknownReplayError: no replay has this ID, it has ended, or it is of another stream.
        """
        progress = self._files.read(replay_id)
        if progress.stream != self._parts.name:
            raise UnknownReplayError(
                f"{replay_id} replays stream {progress.stream}, but this stack has "
                f"{self._parts.name}: start a new replay with --since"
            )
        return Replay(self._parts, progress)
