"""The registered consumers of streams (enhanced fan-out), in the endpoint's file.

Guarantees as in `lockstep.local.kinesis.store`: what a method wrote is on disk when it returns. All
times are in milliseconds since 1970.
"""

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from lockstep.local.kinesis.transactions import transaction
from lockstep.stream.kinesis_file import StoredStream

type Status = Literal["CREATING", "ACTIVE", "DELETING"]

# How long a consumer is CREATING or DELETING. On AWS this takes some seconds.
CHANGE_MS = 500

# The fields of RegisteredConsumer in their order; a condition follows.
_CONSUMERS = "SELECT key, name, created_at, deregistered_at FROM consumers WHERE "


@dataclass(frozen=True, slots=True)
class RegisteredConsumer:
    """A consumer. `key` is internal to the file and never reused."""

    key: int
    name: str
    created_at: int
    deregistered_at: int | None

    def status(self, now: int) -> Status:
        """The status at a time; a consumer that is DELETING is gone after `CHANGE_MS`."""
        if self.deregistered_at is not None:
            return "DELETING"
        return "CREATING" if now < self.created_at + CHANGE_MS else "ACTIVE"


class Consumers:
    """The consumers in an open file."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._sql = connection

    def register(
        self, stream: StoredStream, name: str, *, tags: Mapping[str, str], now: int
    ) -> RegisteredConsumer:
        """Register a consumer. The stream must not have one of this name."""
        with transaction(self._sql):
            self._remove_deleted(now)
            row = self._sql.execute(
                "INSERT INTO consumers (stream, name, created_at) VALUES (?, ?, ?)"
                " RETURNING key, name, created_at, deregistered_at",
                (stream.key, name, now),
            ).fetchone()
            consumer = RegisteredConsumer(*row)
            self._put_tags(consumer, tags)
        return consumer

    def deregister(self, consumer: RegisteredConsumer, now: int) -> None:
        """Begin to delete a consumer."""
        self._sql.execute(
            "UPDATE consumers SET deregistered_at = ? WHERE key = ?", (now, consumer.key)
        )

    def find(self, stream: StoredStream, name: str, now: int) -> RegisteredConsumer | None:
        """The stream's consumer of that name, if there is one."""
        return next(iter(self._where("stream = ? AND name = ?", now, stream.key, name)), None)

    def find_of_key(self, key: int, now: int) -> RegisteredConsumer | None:
        """The consumer with this internal key, if it still exists."""
        return next(iter(self._where("key = ?", now, key)), None)

    def of_stream(self, stream: StoredStream, now: int) -> list[RegisteredConsumer]:
        """The consumers of a stream, sorted by name."""
        return self._where("stream = ?", now, stream.key)

    def being_created(self, now: int) -> int:
        """How many consumers of all streams are CREATING."""
        return sum(each.status(now) == "CREATING" for each in self._where("TRUE", now))

    def tags(self, consumer: RegisteredConsumer) -> dict[str, str]:
        """A consumer's tags, sorted by name."""
        rows = self._sql.execute(
            "SELECT name, value FROM consumer_tags WHERE consumer = ? ORDER BY name",
            (consumer.key,),
        )
        return dict(rows.fetchall())

    def put_tags(self, consumer: RegisteredConsumer, tags: Mapping[str, str]) -> None:
        """Add tags, or replace their values."""
        with transaction(self._sql):
            self._put_tags(consumer, tags)

    def remove_tags(self, consumer: RegisteredConsumer, names: Sequence[str]) -> None:
        """Remove tags; a name without a tag is not an error."""
        with transaction(self._sql):
            self._sql.executemany(
                "DELETE FROM consumer_tags WHERE consumer = ? AND name = ?",
                [(consumer.key, name) for name in names],
            )

    def delete_of(self, stream: StoredStream) -> None:
        """Delete all consumers of a stream at once; the caller has begun a transaction."""
        self._sql.execute("DELETE FROM consumers WHERE stream = ?", (stream.key,))
        self._remove_tags_of_nobody()

    def _where(self, condition: str, now: int, *values: str | int) -> list[RegisteredConsumer]:
        rows = self._sql.execute(
            f"{_CONSUMERS}{condition} AND ifnull(deregistered_at > ?, TRUE) ORDER BY name",
            (*values, now - CHANGE_MS),
        )
        return [RegisteredConsumer(*row) for row in rows]

    def _put_tags(self, consumer: RegisteredConsumer, tags: Mapping[str, str]) -> None:
        self._sql.executemany(
            "INSERT INTO consumer_tags (consumer, name, value) VALUES (?, ?, ?)"
            " ON CONFLICT DO UPDATE SET value = excluded.value",
            [(consumer.key, name, value) for name, value in tags.items()],
        )

    def _remove_deleted(self, now: int) -> None:
        self._sql.execute("DELETE FROM consumers WHERE deregistered_at <= ?", (now - CHANGE_MS,))
        self._remove_tags_of_nobody()

    def _remove_tags_of_nobody(self) -> None:
        self._sql.execute(
            "DELETE FROM consumer_tags WHERE consumer NOT IN (SELECT key FROM consumers)"
        )
