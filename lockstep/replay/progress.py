"""The progress of a replay, kept in the quarantine bucket, so that any machine can resume it.

No consumer may write there (docs/guides/deploying.md).
"""

import datetime as dt
from collections.abc import Iterator, Mapping

import msgspec

from lockstep.console.errors import UserError
from lockstep.replay.reading import Reached
from lockstep.stores.objects import Objects

PREFIX = "replays/"
SUFFIX = ".json"


class UnknownReplayError(UserError):
    """There is no such replay to resume."""


class ReplayProgress(msgspec.Struct, frozen=True):
    """How far a replay is: all records up to `shards` are settled in both stores.

    Attributes:
        stream: the name of the stream.
        since: the time from which to replay; milliseconds since 1970.
        held_from: the time from which all records are replayed; later than `since` if some have
            expired or are too old. None before the first reading.
        shards: how far each shard is replayed.
        records: how many records are settled.
        fates: for each store, how many records had which fate.
        redriven: how many records would have been quarantined, if they were not redriven before.
        seconds: how long it took.
        discarded: how many records were left out, because an operator has discarded them.
    """

    stream: str
    since: int
    held_from: int | None = None
    shards: Mapping[str, Reached] = {}
    records: int = 0
    fates: Mapping[str, Mapping[str, int]] = {}
    redriven: int = 0
    seconds: float = 0.0
    discarded: int = 0


class ProgressFiles:
    """The progress of each replay that has not ended, by the ID of the replay."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects

    def new_id(self, now: float) -> str:
        """The ID of a replay that starts now; `now` is in seconds since 1970."""
        at = dt.datetime.fromtimestamp(now, dt.UTC)
        return f"{at:%Y%m%d-%H%M%S}-{at.microsecond // 1000:03}"

    def all(self) -> Iterator[tuple[str, ReplayProgress]]:
        """Each replay that has not ended, the oldest first."""
        for key in self._objects.keys(PREFIX):
            # The S3 server of a local stack also lists a file that it is still writing.
            body = self._objects.read(key) if key.endswith(SUFFIX) else None
            if body is not None:
                yield key.removeprefix(PREFIX).removesuffix(SUFFIX), _decoded(key, body)

    def read(self, replay_id: str) -> ReplayProgress:
        """The progress of a replay.

        Raises:
            UnknownReplayError: no replay has this ID, or it has ended.
        """
        body = self._objects.read(_key(replay_id))
        if body is None:
            raise UnknownReplayError(
                f"no unfinished replay has the ID {replay_id}: `lockstep replay --since TIME` "
                "lists them"
            )
        return _decoded(_key(replay_id), body)

    def save(self, replay_id: str, progress: ReplayProgress) -> None:
        """Write the progress; it is durable when this returns."""
        self._objects.write(_key(replay_id), msgspec.json.encode(progress))

    def delete(self, replay_id: str) -> None:
        """The replay has ended."""
        self._objects.delete(_key(replay_id))


def _key(replay_id: str) -> str:
    return f"{PREFIX}{replay_id}{SUFFIX}"


def _decoded(key: str, body: bytes) -> ReplayProgress:
    try:
        return msgspec.json.decode(body, type=ReplayProgress)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise UnknownReplayError(
            f"{key} is not the progress of a replay ({error}): delete it"
        ) from None
