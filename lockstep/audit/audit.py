"""The run of an audit: gather both stores on disk, compare, look again at what differs."""

import sqlite3
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import batched
from pathlib import Path
from typing import Literal, Protocol

import msgspec

from lockstep.audit.compare import difference
from lockstep.audit.entry import Entry
from lockstep.audit.stores import LOOKUP, StoreUnreadableError

# Long enough for a write under way to reach the other store, in seconds.
SECOND_LOOK_AFTER = 2.0

EXPLAINED = "explained_by_quarantine"


class Entries(Protocol):
    """One store's entries."""

    def all(self) -> Iterable[Entry]:
        """Every entry, in any order."""
        ...

    def now(self, image_ids: Sequence[str]) -> Mapping[str, Entry]:
        """The entries of a few images, as they are at this moment."""
        ...


class Audit(msgspec.Struct, frozen=True, omit_defaults=True):
    """What an audit found. `table` and `index` count entries, tombstones included."""

    result: Literal["equal", "different", "unknown"]
    table: int
    index: int
    differences: dict[str, int]
    seconds: float
    reason: str | None = None

    @property
    def exit_code(self) -> int:
        """0 equal, 1 different, 2 could not tell."""
        return {"equal": 0, "different": 1, "unknown": 2}[self.result]


class Time(msgspec.Struct, frozen=True):
    """The time an audit goes by: seconds since 1970, seconds that only go forward, a wait."""

    now: Callable[[], float]
    elapsed: Callable[[], float]
    sleep: Callable[[float], None]


def audit(
    table: Entries,
    index: Entries,
    *,
    quarantined_images: Callable[[], Iterable[str]],
    time: Time,
    progress: Callable[[str, int], None] = lambda _store, _count: None,
) -> Audit:
    """Compare the two stores completely, in bounded memory.

    What differs is looked up again in both after a moment, so that a write under way is no
    difference. The result is `unknown` when a store could not be read to its end.

    Args:
        table: the system of record.
        index: the search index.
        quarantined_images: reads the images that have a record in quarantine; asked only when
            something differs.
        time: the clock.
        progress: is told a store's name and how many entries of it have been read.
    """
    started = time.elapsed()
    counts = {"table": 0, "index": 0}
    found: Counter[str] = Counter()
    reason = None
    with tempfile.TemporaryDirectory(prefix="lockstep-audit-") as folder:
        spill = _Spill(Path(folder) / "entries.db")
        try:
            for name, store in (("table", table), ("index", index)):
                for entries in batched(store.all(), 1000, strict=False):
                    spill.add(name, entries)
                    counts[name] += len(entries)
                    progress(name, counts[name])
            suspects = spill.differences(time.now())
            found = _second_look(
                suspects,
                counts,
                table=table,
                index=index,
                quarantined_images=quarantined_images,
                time=time,
            )
        except StoreUnreadableError as error:
            reason = str(error)
        finally:
            spill.close()
    result: Literal["equal", "different", "unknown"] = "different" if found else "equal"
    return Audit(
        result="unknown" if reason else result,
        table=counts["table"],
        index=counts["index"],
        differences=dict(sorted(found.items())),
        seconds=round(time.elapsed() - started, 3),
        reason=reason,
    )


class _Suspect(msgspec.Struct, frozen=True):
    """An image that differed when both stores were read, and where it was."""

    image_id: str
    in_table: bool
    in_index: bool


def _second_look(
    suspects: Iterable[_Suspect],
    counts: dict[str, int],
    *,
    table: Entries,
    index: Entries,
    quarantined_images: Callable[[], Iterable[str]],
    time: Time,
) -> Counter[str]:
    """The differences that are still there when both stores are asked again, image by image.

    `counts` then counts what is there at this look.
    """
    found: Counter[str] = Counter()
    explained: set[str] | None = None
    for some in batched(suspects, LOOKUP, strict=False):
        image_ids = [suspect.image_id for suspect in some]
        if explained is None:
            time.sleep(SECOND_LOOK_AFTER)
            explained = set(quarantined_images())
        in_table, in_index = table.now(image_ids), index.now(image_ids)
        for suspect in some:
            image_id = suspect.image_id
            counts["table"] += (image_id in in_table) - suspect.in_table
            counts["index"] += (image_id in in_index) - suspect.in_index
            kind = difference(in_table.get(image_id), in_index.get(image_id), now=time.now())
            if kind is not None:
                found[kind] += 1
                found[EXPLAINED] += image_id in explained
    return +found


class _Spill:
    """Both stores' entries on disk, side by side: neither store hands them over in one order."""

    def __init__(self, file: Path) -> None:
        self._database = sqlite3.connect(file, isolation_level=None)
        self._database.executescript("""
            PRAGMA journal_mode = OFF;
            PRAGMA synchronous = OFF;
            CREATE TABLE "table" (image_id TEXT PRIMARY KEY, entry BLOB) WITHOUT ROWID;
            CREATE TABLE "index" (image_id TEXT PRIMARY KEY, entry BLOB) WITHOUT ROWID;
        """)

    def add(self, store: str, entries: Sequence[Entry]) -> None:
        rows = ((entry.image_id, msgspec.msgpack.encode(entry)) for entry in entries)
        self._database.execute("BEGIN")
        # A scan may show an item twice when its partition splits under it: the last one counts.
        self._database.executemany(
            f'INSERT OR REPLACE INTO "{store}" VALUES (?, ?)',  # noqa: S608 - one of two words
            rows,
        )
        self._database.execute("COMMIT")

    def differences(self, now: float) -> Iterator[_Suspect]:
        rows = self._database.execute("""
            SELECT coalesce(t.image_id, i.image_id), t.entry, i.entry
            FROM "table" AS t FULL OUTER JOIN "index" AS i ON t.image_id = i.image_id
        """)
        for image_id, in_table, in_index in rows:
            if difference(_entry(in_table), _entry(in_index), now=now) is not None:
                yield _Suspect(image_id, in_table is not None, in_index is not None)

    def close(self) -> None:
        self._database.close()


def _entry(packed: bytes | None) -> Entry | None:
    return None if packed is None else msgspec.msgpack.decode(packed, type=Entry)
