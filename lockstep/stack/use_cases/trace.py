"""All that a stack knows of one image. Nothing is written."""

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path

import msgspec
from botocore.exceptions import BotoCoreError, ClientError
from opensearchpy.exceptions import OpenSearchException

from doors.logged_ids import HashedIds, PlainIds
from lockstep.console.errors import UserError
from lockstep.console.failures import message_of
from lockstep.stack.clients import CONNECT_SECONDS, READ_SECONDS, S3_CONNECTIONS, Clients
from lockstep.stack.deployed import HOUR, Metric, Window, read_series
from lockstep.stack.stack import IndexFrom
from lockstep.stack.use_cases.stores import index_reader, table_reader
from lockstep.stores.quick_objects import QuickObjects
from lockstep.stores.readers import WholeLookup
from lockstep.stream.backlog import UnknownBacklogError, stored
from lockstep.stream.kinesis import KeyShards, KinesisStream
from lockstep.stream.stream import StreamUnavailableError
from lockstep.trace.bucket import BucketTrace, list_keys
from lockstep.trace.events import Place, Told, TraceEvent, timeline
from lockstep.trace.held import StoreHolds, held_of
from lockstep.trace.logs import CloudWatchLogs, LocalLogs, LogSource, read_logs
from lockstep.trace.shards import ReadingCost, ShardsRead, read_shards
from shared.quarantine import CONSUMERS
from shared.sink import SinkError

# Lines of the logs that name the image are searched this long before the oldest event.
_LOGS_BEFORE = 3600.0
# So many days, if nothing is known of the image.
_LOGS_DAYS = 7

_UNREADABLE = (
    UserError,
    SinkError,
    StreamUnavailableError,
    ClientError,
    BotoCoreError,
    OpenSearchException,
)


class NotRead(msgspec.Struct, frozen=True):
    """A source that could not be read, or not completely, and why."""

    source: str
    why: str


class ImageTrace(msgspec.Struct, frozen=True):
    """All that is known of an image.

    `in_logs` is the id as the logs show it. `table` and `index` are what the stores hold; None if
    nothing. `objects` counts what was read in the bucket, and `records` what was read in the
    stream, of all images. `limits` says what a trace cannot know about this stack. `routed` names
    the documents of this ID that somebody wrote with a custom routing, as an audit does.
    """

    image_id: str
    in_logs: str
    events: Sequence[TraceEvent]
    table: StoreHolds | None
    index: StoreHolds | None
    records: int
    objects: int
    not_read: Sequence[NotRead]
    limits: Sequence[str]
    routed: Sequence[str] = ()


class StackTrace:
    """One trace: first what it costs, then the reading."""

    def __init__(self, clients: Clients, image_id: str, since: dt.datetime | None) -> None:
        """Set it up.

        Args:
            clients: the stack's.
            image_id: the image; any text, because a refused event may have any.
            since: leave out what happened before; None: nothing.
        """
        self._clients = clients
        self._image_id = image_id
        self._since = since
        self._stream = KinesisStream(clients.kinesis, clients.stack.stream)
        self._objects = QuickObjects(
            clients.s3,
            clients.stack.bucket,
            clients.session,
            timeout=(CONNECT_SECONDS, READ_SECONDS),
        )
        self._not_read: list[NotRead] = []
        self._shards = self._tried("stream", lambda: self._stream.shards_of(image_id))
        self._keys = self._tried("quarantine", lambda: list_keys(self._objects, since))

    @cached_property
    def cost(self) -> ReadingCost:
        """What reading the shards of the image costs."""
        if self._shards is None:
            return ReadingCost(0, None, None)
        shards = self._shards
        size = self._tried("size of the stream", lambda: self._size(shards))
        return ReadingCost(len(shards.chain), *(size or (None, None)))

    @property
    def objects(self) -> int:
        """How many objects of the bucket are read."""
        return 0 if self._keys is None else len(self._keys)

    def read(self, at_most: int) -> ImageTrace:
        """Read all sources. One that cannot be read does not stop the others.

        Args:
            at_most: how many records of the stream may be read; 0: it is not read.
        """
        told: list[Told] = []
        records = 0
        shards = self._shards
        if shards is not None and self._may_read(at_most):
            read = self._tried("stream", lambda: self._read_stream(shards, at_most))
            if read is not None:
                told, records = [*read.told], read.records
                if not read.complete:
                    self._leave(
                        "stream",
                        f"more than {at_most:,} records: use --since, or a larger --at-most",
                    )
        told += self._tried("quarantine", self._of_bucket) or ()
        table = self._held("table", table_reader(self._clients))
        index = self._held("index", index_reader(self._clients))
        shown = self._tried("logs", self._shown)
        if shown is not None:
            told += self._tried("logs", lambda: self._of_logs(shown, told, table, index)) or ()
        if self._since is not None:
            earliest = self._since.timestamp()
            told = [one for one in told if one.at >= earliest]
        return ImageTrace(
            self._image_id,
            shown or "unknown",
            timeline(told),
            table,
            index,
            records,
            self.objects,
            self._not_read,
            limits_of(self._clients.stack.index_from),
            self._routed(),
        )

    def _may_read(self, at_most: int) -> bool:
        """Whether the stream is read; if not, say why."""
        if at_most == 0:
            self._leave("stream", "--at-most is 0")
            return False
        records = self.cost.records or 0
        if records > at_most:
            self._leave(
                "stream",
                f"about {records:,} records, more than {at_most:,}: use --since or --at-most",
            )
            return False
        return True

    def _read_stream(self, shards: KeyShards, at_most: int) -> ShardsRead:
        return read_shards(
            self._stream,
            self._clients.stack.stream,
            shards,
            self._image_id,
            since=None if self._since is None else self._since.timestamp(),
            at_most=at_most,
            clock=self._clients.clock,
        )

    def _size(self, shards: KeyShards) -> tuple[int, int] | None:
        """About how many records and bytes the shards hold; None if it is unknown."""
        stack, now = self._clients.stack, self._clients.clock.now()
        since = None if self._since is None else self._since.timestamp()
        if stack.state is not None:
            names = {shard.shard_id for shard in shards.chain}
            file = Path(stack.state) / "kinesis.db"
            try:
                return stored(file, stack.stream, names, since=since, now=now)
            except UnknownBacklogError:  # the endpoint is of somebody else
                return None
        oldest = now - self._stream.retention() if since is None else since
        window = Window(oldest // HOUR * HOUR, now, HOUR)
        records, size = (
            Metric("AWS/Kinesis", name, "StreamName", stack.stream, "Sum")
            for name in ("IncomingRecords", "IncomingBytes")
        )
        found = read_series(self._clients.cloudwatch, [records, size], window)
        # The shards of a stream get about as much as their share of the hash keys.
        of_shards = [round(sum(found[one].values()) * shards.share) for one in (records, size)]
        return of_shards[0], of_shards[1]

    def _of_bucket(self) -> list[Told]:
        stack = self._clients.stack
        if self._keys is None:
            return []
        with ThreadPoolExecutor(S3_CONNECTIONS) as executor:
            bucket = BucketTrace(
                self._objects,
                executor,
                self._image_id,
                table_mapping=stack.table_mapping,
                changes_stream=stack.changes_stream,
            )
            told = list(bucket.told(self._keys))
        for why in bucket.unreadable:
            self._leave("quarantine", why)
        return told

    def _held(self, name: str, reader: WholeLookup) -> StoreHolds | None:
        found = self._tried(name, lambda: reader.lookup_whole([self._image_id]))
        stored_image = (found or {}).get(self._image_id)
        return None if stored_image is None else held_of(stored_image)

    def _routed(self) -> Sequence[str]:
        if any(one.source == "index" for one in self._not_read):
            return ()  # that was said already
        reader = index_reader(self._clients)
        return self._tried("index", lambda: reader.routed_names(self._image_id)) or ()

    def _shown(self) -> str:
        """The id as the logs show it."""
        secret = self._clients.stack.log_hash_secret
        if not secret:
            return PlainIds().shown(self._image_id)
        key = self._clients.secrets.get_secret_value(SecretId=secret)["SecretString"]
        return HashedIds(key).shown(self._image_id)

    def _of_logs(
        self, shown: str, told: Sequence[Told], *held: StoreHolds | None
    ) -> Sequence[Told]:
        stream = self._clients.stack.stream
        places = {one.place: one.at for one in told if one.place.stream == stream}
        places |= {one.place: one.at for one in told if one.what == "arrived"}
        for one in held:
            if one is not None and one.shard_id and one.sequence_number:
                at = dt.datetime.fromisoformat(one.arrived_at).timestamp()
                places.setdefault(Place(stream, one.shard_id, one.sequence_number), at)
        read = read_logs(self._log_source(places), shown, places)
        if not read.complete:
            self._leave("logs", "there are too many lines: use --since")
        return read.told

    def _log_source(self, places: Mapping[Place, float]) -> LogSource:
        """Where the lines are.

        Raises:
            TraceError: the stack does not say it.
        """
        stack = self._clients.stack
        if stack.state is not None:
            return LocalLogs(Path(stack.state) / "logs", CONSUMERS)
        if not stack.log_groups:
            raise TraceError("the stack does not name its log groups: deploy this release")
        now = self._clients.clock.now()
        oldest = min(places.values(), default=now - _LOGS_DAYS * 24 * HOUR) - _LOGS_BEFORE
        since = oldest if self._since is None else self._since.timestamp()
        return CloudWatchLogs(self._clients.logs, list(stack.log_groups.values()), since)

    def _tried[T](self, source: str, read: Callable[[], T]) -> T | None:
        """What a source says; None if it cannot be read, which is then listed."""
        try:
            return read()
        except _UNREADABLE as error:
            self._leave(source, message_of(error) or str(error))
            return None

    def _leave(self, source: str, why: str) -> None:
        self._not_read.append(NotRead(source, why))


def limits_of(index_from: IndexFrom) -> list[str]:
    """What a trace cannot know about a stack whose index has this source, in sentences."""
    if index_from == "Kinesis":
        return []
    line = (
        f"the index reads the table's changes (IndexFrom is {index_from}), and a trace does not: "
        "it does not tell when the index's consumer settled a change"
    )
    return [line]


class TraceError(UserError):
    """A source of a trace cannot be found; the message says why."""
