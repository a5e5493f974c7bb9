"""The spill: both stores' entries on disk, side by side, and the images that are suspect.

Neither store hands its entries over in an order that the other one has.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from itertools import batched
from pathlib import Path
from typing import Literal

import msgspec

from lockstep.audit.compare import difference
from lockstep.audit.entry import Entry

_AT_ONCE = 1000


class Suspect(msgspec.Struct, frozen=True):
    """An image that seems to differ, and where it was when both stores were read."""

    image_id: str
    in_table: bool
    in_index: bool


class Spill:
    """A database in this file; it may go when the audit is done."""

    def __init__(self, file: Path) -> None:
        self._database = sqlite3.connect(file, isolation_level=None)
        self._database.executescript("""
            PRAGMA journal_mode = OFF;
            PRAGMA synchronous = OFF;
            CREATE TABLE "table" (image_id TEXT PRIMARY KEY, entry BLOB) WITHOUT ROWID;
            CREATE TABLE "index" (image_id TEXT PRIMARY KEY, entry BLOB) WITHOUT ROWID;
            CREATE TABLE suspect (image_id TEXT PRIMARY KEY, in_table INT, in_index INT)
                WITHOUT ROWID;
        """)

    def add(self, store: Literal["table", "index"], entries: Sequence[Entry]) -> None:
        """Keep these entries of a store; of a malformed one, only that it is there."""
        rows = ((one.image_id, None if one.malformed else _encoder.encode(one)) for one in entries)
        # A scan may show an item twice when its partition splits under it: the last one counts.
        self._insert(f'INSERT OR REPLACE INTO "{store}" VALUES (?, ?)', rows)  # noqa: S608 - one of two words

    def compare(self, now: float) -> None:
        """Suspect every image of which the stores' entries differ, or one is malformed."""
        rows = self._database.execute("""
            SELECT t.image_id, i.image_id, t.entry, i.entry
            FROM "table" AS t FULL OUTER JOIN "index" AS i ON t.image_id = i.image_id
            WHERE t.entry IS NULL OR i.entry IS NULL OR t.entry <> i.entry
        """)
        self.suspect(
            Suspect(in_table or in_index, in_table is not None, in_index is not None)
            for in_table, in_index, table, index in rows
            if _differ(in_table, table, in_index, index, now)
        )

    def suspect(self, suspects: Iterable[Suspect]) -> None:
        """Keep these as suspect."""
        for some in batched(suspects, _AT_ONCE, strict=False):
            rows = ((one.image_id, one.in_table, one.in_index) for one in some)
            self._insert("INSERT OR REPLACE INTO suspect VALUES (?, ?, ?)", rows)

    def suspects(self, at_once: int) -> Iterator[Sequence[Suspect]]:
        """All suspects, in the order of ids, so many at once; those seen may be cleared."""
        after = ""
        while rows := self._database.execute(
            "SELECT * FROM suspect WHERE image_id > ? ORDER BY image_id LIMIT ?", (after, at_once)
        ).fetchall():
            yield [Suspect(one, bool(in_table), bool(in_index)) for one, in_table, in_index in rows]
            after = rows[-1][0]

    def clear(self, image_ids: Iterable[str]) -> None:
        """These are suspect no more."""
        self._insert("DELETE FROM suspect WHERE image_id = ?", ((one,) for one in image_ids))

    def close(self) -> None:
        """Let the file go."""
        self._database.close()

    def _insert(self, statement: str, rows: Iterable[tuple[object, ...]]) -> None:
        self._database.execute("BEGIN")
        self._database.executemany(statement, rows)
        self._database.execute("COMMIT")


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Entry)


def _differ(
    in_table: str | None, table: bytes | None, in_index: str | None, index: bytes | None, now: float
) -> bool:
    if (in_table and table is None) or (in_index and index is None):
        return True
    return difference(_entry(table), _entry(index), now=now) is not None


def _entry(packed: bytes | None) -> Entry | None:
    return None if packed is None else _decoder.decode(packed)
