"""The capacity mode and the encryption of streams, and when they changed, in the endpoint's file.

The endpoint encrypts nothing: it keeps what a client set, and which records arrived under which
setting. Guarantees as in `lockstep.local.kinesis.store`. All times are in milliseconds since 1970.
"""

import sqlite3
from dataclasses import dataclass

from lockstep.local.kinesis.transactions import transaction
from lockstep.stream.kinesis_file import HOUR_MS, Mode, StoredStream

_DAY_MS = 24 * HOUR_MS


@dataclass(frozen=True, slots=True)
class Encryption:
    """The encryption from `since` on; `key_id` is None while the stream is not encrypted."""

    since: int
    key_id: str | None


class StreamSettings:
    """The settings of streams in an open file."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._sql = connection

    def mode_changes(self, stream: StoredStream, now: int) -> int:
        """How often the stream's mode changed in the last 24 hours."""
        found: int = self._sql.execute(
            "SELECT count(*) FROM mode_changes WHERE stream = ? AND at > ?",
            (stream.key, now - _DAY_MS),
        ).fetchone()[0]
        return found

    def set_mode(self, stream: StoredStream, mode: Mode, now: int) -> None:
        """Change the stream's mode; its shards stay."""
        with transaction(self._sql):
            self._sql.execute("UPDATE streams SET mode = ? WHERE key = ?", (mode, stream.key))
            self._sql.execute(
                "INSERT INTO mode_changes (stream, at) VALUES (?, ?)", (stream.key, now)
            )

    def encryption(self, stream: StoredStream) -> list[Encryption]:
        """Each encryption that the stream has or had, the newest first; empty if it had none."""
        rows = self._sql.execute(
            "SELECT since, key_id FROM encryption WHERE stream = ? ORDER BY since DESC",
            (stream.key,),
        )
        return [Encryption(*row) for row in rows]

    def encryption_changes(self, stream: StoredStream, now: int, *, started: bool) -> int:
        """How often encryption was started, or stopped, in the last 24 hours."""
        return sum(
            each.since > now - _DAY_MS and (each.key_id is not None) == started
            for each in self.encryption(stream)
        )

    def set_encryption(self, stream: StoredStream, key_id: str | None, now: int) -> None:
        """Change the encryption of the records that arrive from now on.

        The arrival times of all earlier records are below `since`, and those of all later records
        are not, even if the clock stands still or goes back.
        """
        with transaction(self._sql):
            (last_arrival,) = self._sql.execute(
                "SELECT max(last_arrival) FROM shards WHERE stream = ?", (stream.key,)
            ).fetchone()
            since = max(now, last_arrival + 1)
            self._sql.execute(
                "UPDATE shards SET last_arrival = ? WHERE stream = ? AND closed_at IS NULL",
                (since, stream.key),
            )
            self._sql.execute(
                "INSERT INTO encryption (stream, since, key_id) VALUES (?, ?, ?)",
                (stream.key, since, key_id),
            )

    def delete_of(self, stream: StoredStream) -> None:
        """Forget a stream's changes; the caller has begun a transaction."""
        self._sql.execute("DELETE FROM mode_changes WHERE stream = ?", (stream.key,))
        self._sql.execute("DELETE FROM encryption WHERE stream = ?", (stream.key,))
