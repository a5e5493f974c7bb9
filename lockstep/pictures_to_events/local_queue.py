"""The notifications of a local bucket, and their queue, in one file of the state folder.

S3Proxy tells nobody of a change. So the bucket is listed again and again, and each difference from
the last list becomes a notification, as EventBridge would send it. List and queue change in one
transaction: whatever ends the process, no change is missed.
"""

import sqlite3
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from pathlib import Path

import msgspec

from lockstep.pictures.alignment import ObjectIdentity
from lockstep.pictures_to_events.batch import SetAside
from lockstep.pictures_to_events.notifications import QueueMessage, notification

# As in template.yaml.
BATCH_SIZE = 10
_BUSY_SECONDS = 30.0
_SCHEMA = """
CREATE TABLE IF NOT EXISTS seen (key TEXT PRIMARY KEY, identity BLOB NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS messages (
    id INTEGER PRIMARY KEY AUTOINCREMENT, body TEXT NOT NULL, visible_at REAL NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS by_time ON messages (visible_at);
CREATE TABLE IF NOT EXISTS letters (
    id INTEGER PRIMARY KEY AUTOINCREMENT, body TEXT NOT NULL, reason TEXT NOT NULL,
    detail TEXT NOT NULL, at REAL NOT NULL
) STRICT;
"""

# How late each copy of a notification comes, in seconds; one copy at once is a single zero.
type Lateness = Callable[[], Sequence[float]]


def at_once() -> Sequence[float]:
    """Each notification comes once, and at once."""
    return (0.0,)


class LocalQueue:
    """The notifications of one bucket. Threads may share it."""

    def __init__(self, path: Path, bucket: str, lateness: Lateness = at_once) -> None:
        """Open the file; it is created if it does not exist.

        Args:
            path: the file.
            bucket: the name of the bucket, for the notifications.
            lateness: how late the copies of a notification come.
        """
        self._bucket = bucket
        self._lateness = lateness
        self._lock = threading.Lock()
        self._database = sqlite3.connect(path, timeout=_BUSY_SECONDS, check_same_thread=False)
        with closing(self._database.cursor()) as cursor:
            cursor.executescript(_SCHEMA)

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def note(self, listed: Mapping[str, ObjectIdentity], now: float) -> int:
        """Compare the bucket with the last list, and queue a notification for each difference.

        Args:
            listed: the objects that the bucket has now, by their keys.
            now: in seconds since 1970.

        Returns:
            The number of differences.
        """
        with self._lock, self._database as database:
            rows = database.execute("SELECT key, identity FROM seen")
            seen = {
                key: msgspec.json.decode(identity, type=ObjectIdentity) for key, identity in rows
            }
            changed = {key: it for key, it in listed.items() if seen.get(key) != it}
            gone = seen.keys() - listed.keys()
            database.executemany(
                "INSERT OR REPLACE INTO seen VALUES (?, ?)",
                [(key, msgspec.json.encode(identity)) for key, identity in changed.items()],
            )
            database.executemany("DELETE FROM seen WHERE key = ?", [(key,) for key in gone])
            told = [(key, "Object Created") for key in changed]
            told += [(key, "Object Deleted") for key in gone]
            database.executemany(
                "INSERT INTO messages (body, visible_at) VALUES (?, ?)",
                [
                    (notification(self._bucket, key, kind), now + late)
                    for key, kind in told
                    for late in self._lateness()
                ],
            )
        return len(told)

    def receive(self, now: float, hidden_until: float) -> Sequence[QueueMessage]:
        """Some messages that are due, the oldest first. Nobody else gets them meanwhile.

        Args:
            now: in seconds since 1970.
            hidden_until: when they come again, unless they are deleted.
        """
        with self._lock, self._database as database:
            rows = database.execute(
                "SELECT id, body FROM messages WHERE visible_at <= ? "
                "ORDER BY visible_at, id LIMIT ?",
                (now, BATCH_SIZE),
            ).fetchall()
            database.executemany(
                "UPDATE messages SET visible_at = ? WHERE id = ?",
                [(hidden_until, number) for number, _ in rows],
            )
        return [QueueMessage(str(number), body) for number, body in rows]

    def delete(self, messages: Iterable[QueueMessage]) -> None:
        """Delete settled messages."""
        with self._lock, self._database as database:
            database.executemany(
                "DELETE FROM messages WHERE id = ?", [(int(one.message_id),) for one in messages]
            )

    def bring_again(self, messages: Iterable[QueueMessage], at: float) -> None:
        """Deliver messages again at this time, in seconds since 1970."""
        with self._lock, self._database as database:
            database.executemany(
                "UPDATE messages SET visible_at = ? WHERE id = ?",
                [(at, int(one.message_id)) for one in messages],
            )

    def set_aside(self, letter: SetAside, now: float) -> None:
        """Keep a message that can never be settled, with its reason."""
        with self._lock, self._database as database:
            database.execute(
                "INSERT INTO letters (body, reason, detail, at) VALUES (?, ?, ?, ?)",
                (letter.message.body, letter.reason, letter.detail, now),
            )

    def letters(self) -> Sequence[tuple[str, str]]:
        """Reason and detail of each message that was set aside, the oldest first."""
        with self._lock:
            return self._database.execute(
                "SELECT reason, detail FROM letters ORDER BY id"
            ).fetchall()

    def waiting(self) -> int:
        """How many messages are not settled."""
        with self._lock:
            (count,) = self._database.execute("SELECT count(*) FROM messages").fetchone()
        return int(count)
