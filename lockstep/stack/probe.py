"""Markers on the image stream, which show that consumers have processed what was put before them.

A marker is an `image.deleted` of an id that is reserved for its shard, so both stores get a
tombstone, which no reader finds. It comes in two rounds. A marker in a store does not show that the
records before it are settled: Lambda may deliver a part of its batch again. But a batch is formed
only after the batch before it is settled. So once a marker of the second round is in a store, all
batches up to that of the first marker are settled.

That holds for a consumer that reads the image stream itself, one batch of a shard at a time.
"""

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from itertools import batched
from typing import TYPE_CHECKING, Literal

from botocore.exceptions import BotoCoreError, ClientError

from lockstep.console.errors import UserError
from lockstep.producing.checked import outgoing
from lockstep.stack.status import Probed
from lockstep.stores.readers import LOOKUP, EntryLookup
from lockstep.stream.kinesis import OpenShard
from shared.clock import Clock
from shared.event import Event, InvalidEventError
from shared.stamps import stamp_at

if TYPE_CHECKING:
    from types_boto3_kinesis import KinesisClient

ROUNDS = 2
Seen = Literal["there", "missing", "overtaken"]
# The stream refuses them for good, so waiting does not help.
_PERMANENT = frozenset({"AccessDeniedException", "ResourceNotFoundException"})


class ProbeError(UserError):
    """The markers cannot be put."""


class Probe:
    """Puts markers, and waits until they are in the stores."""

    def __init__(
        self,
        client: "KinesisClient",
        stream: str,
        *,
        shards: Callable[[], Sequence[OpenShard]],
        stores: Mapping[str, EntryLookup],
        clock: Clock,
    ) -> None:
        """Make it.

        Args:
            client: puts the markers; it does not retry by itself.
            stream: the name of the image stream.
            shards: the open shards of the stream.
            stores: the store of each consumer.
            clock: gives the time.
        """
        self._client = client
        self._stream = stream
        self._shards = shards
        self._stores = stores
        self._clock = clock

    def run(self, seconds: float, every: float) -> Probed:
        """Put the markers of both rounds; wait for them at most so many seconds.

        Args:
            seconds: how long to wait.
            every: how many seconds to wait between two looks.

        Raises:
            ProbeError: the stream does not accept the markers, or an image has a reserved id.
            StoreUnreadableError: a store could not be read.
            StreamUnavailableError: the shards could not be listed.
        """
        started = self._clock.elapsed()
        ends = started + seconds
        rounds = 0
        markers = self._put(ends)
        while rounds < ROUNDS:
            seen = self._look(markers)
            if all(one == "there" for one in seen.values()):
                rounds += 1
                if rounds < ROUNDS:
                    markers = self._put(ends)
                continue
            if self._clock.elapsed() >= ends:
                break
            self._clock.sleep(every)
            if "overtaken" in seen.values():
                markers = self._put(ends)
        there = [consumer for consumer, one in seen.items() if one == "there"]
        return Probed(len(markers), round(self._clock.elapsed() - started, 1), there)

    def _put(self, deadline: float) -> Mapping[str, int]:
        """Put a marker on each open shard; return the version of each marker by its id.

        If a shard is split or merged meanwhile, all shards get another marker.
        """
        while True:
            shards = self._shards()
            versions = self._next_versions([marker_id(shard.shard_id) for shard in shards])
            try:
                if all(self._put_on(shard, versions) for shard in shards):
                    return versions
            except (ClientError, BotoCoreError) as error:
                permanent = (
                    isinstance(error, ClientError) and error.response["Error"]["Code"] in _PERMANENT
                )
                if permanent or self._clock.elapsed() >= deadline:
                    message = f"stream {self._stream} does not accept a marker: {error}"
                    raise ProbeError(message) from error
                self._clock.sleep(1.0)

    def _put_on(self, shard: OpenShard, versions: Mapping[str, int]) -> bool:
        """Put a marker on this shard; return whether it came there."""
        now = self._clock.now()
        image_id = marker_id(shard.shard_id)
        at = dt.datetime.fromtimestamp(now, dt.UTC)
        try:
            marker = outgoing(Event("image.deleted", image_id, versions[image_id], at), now)
        except InvalidEventError as error:
            message = f"set the clock of this machine: marker {image_id}: {error}"
            raise ProbeError(message) from error
        answer = self._client.put_record(
            StreamName=self._stream,
            Data=marker.data,
            PartitionKey=image_id,
            ExplicitHashKey=shard.starting_hash_key,
        )
        return answer["ShardId"] == shard.shard_id

    def _next_versions(self, ids: Sequence[str]) -> Mapping[str, int]:
        """A version for each marker that is higher than what the stores have.

        The clock of this machine may be behind that of the last probe.
        """
        versions = dict.fromkeys(ids, stamp_at(self._clock.now()))
        for store in self._stores.values():
            for some in batched(ids, LOOKUP):
                for image_id, entry in store.lookup(some).items():
                    if not entry.deleted:
                        message = (
                            f"an image has the id {image_id}, which is reserved for probes: delete "
                            "it, or wait without --probe"
                        )
                        raise ProbeError(message)
                    versions[image_id] = max(versions[image_id], entry.version + 1)
        return versions

    def _look(self, markers: Mapping[str, int]) -> Mapping[str, Seen]:
        """What the store of each consumer has of these markers."""
        return {consumer: _seen(store, markers) for consumer, store in self._stores.items()}


def marker_id(shard_id: str) -> str:
    """The id of a shard's markers. One id for all shards would overtake itself."""
    return f"lockstep-probe-{shard_id}"


def _seen(store: EntryLookup, markers: Mapping[str, int]) -> Seen:
    """Whether the markers are in a store, or another probe has put later ones meanwhile."""
    versions = {
        image_id: entry.version
        for some in batched(markers, LOOKUP)
        for image_id, entry in store.lookup(some).items()
    }
    if any(versions.get(image_id, 0) > version for image_id, version in markers.items()):
        return "overtaken"
    return "there" if versions == markers else "missing"
