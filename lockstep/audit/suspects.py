"""The images that seem to differ: in SQLite, so that memory does not grow with their number.

The database has no name, so it vanishes with the process. It stays in memory while it fits SQLite's
cache.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from itertools import batched

import msgspec

_BATCH = 1000


class Suspect(msgspec.Struct, frozen=True):
    """An image that seems to differ, and which stores had it when they were read.

    `seen` is what the comparison noted when the image was first found in progress; empty if it
    never was.
    """

    image_id: str
    in_record: bool
    in_replica: bool
    seen: str = ""


class Suspects:
    """Images to look up again."""

    def __init__(self) -> None:
        self._opened: sqlite3.Connection | None = None

    def add(self, suspects: Iterable[Suspect]) -> None:
        """Add suspects, or replace them."""
        for some in batched(suspects, _BATCH):
            rows = map(msgspec.structs.astuple, some)
            self._change("INSERT OR REPLACE INTO suspect VALUES (?, ?, ?, ?)", rows)

    def batches(self, at_once: int) -> Iterator[Sequence[Suspect]]:
        """All suspects by image ID, in batches. The caller may clear a batch when it has it."""
        after = ""
        if self._opened is None:
            return
        while rows := self._database.execute(
            "SELECT * FROM suspect WHERE image_id > ? ORDER BY image_id LIMIT ?", (after, at_once)
        ).fetchall():
            yield [
                Suspect(one, bool(in_record), bool(in_replica), seen)
                for one, in_record, in_replica, seen in rows
            ]
            after = rows[-1][0]

    def clear(self, image_ids: Iterable[str]) -> None:
        """Remove suspects."""
        self._change("DELETE FROM suspect WHERE image_id = ?", ((one,) for one in image_ids))

    def close(self) -> None:
        """Close the database."""
        if self._opened is not None:
            self._opened.close()

    @property
    def _database(self) -> sqlite3.Connection:
        """The database, from the first suspect on. Without a name, it is a temporary one."""
        if self._opened is None:
            self._opened = sqlite3.connect("", isolation_level=None)
            self._opened.executescript("""
                PRAGMA journal_mode = OFF;
                PRAGMA synchronous = OFF;
                CREATE TABLE suspect
                    (image_id TEXT PRIMARY KEY, in_record INT, in_replica INT, seen TEXT)
                    WITHOUT ROWID;
            """)
        return self._opened

    def _change(self, statement: str, rows: Iterable[tuple[object, ...]]) -> None:
        self._database.execute("BEGIN")
        self._database.executemany(statement, rows)
        self._database.execute("COMMIT")
