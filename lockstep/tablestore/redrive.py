"""The redrive of a replica: repairs each quarantined key, then files its records away.

What a record holds is never written. The row becomes what the source has now, so a record may be
late, come twice, or be forged. A record is moved to `redriven/` only when its key is settled: the
row was repaired, or it was equal. After an interruption in between, the key is repaired again, and
is then equal.
"""

import datetime as dt
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from itertools import batched
from typing import Any, Literal

import msgspec

from lockstep.quarantine.bucket import AT_ONCE
from lockstep.quarantine.failure_documents import NotADocumentError
from lockstep.quarantine.filing import file_away
from lockstep.quarantine.reading import DOCUMENTS_AT_ONCE
from lockstep.quarantine.records import ForeignObjectError
from lockstep.stores.objects import Objects
from lockstep.stores.writing import settled
from lockstep.tablestore.quarantined_keys import KeyQuarantine, QuarantinedKey
from shared.clock import Clock
from shared.outcome import Applied, Duplicate, Refused
from shared.pace import Pace
from shared.quarantine import QuarantinedRecord
from shared.rfc3339 import rfc3339
from shared.sink import SinkOf
from shared.table_stream import keys_as_text

type Settled = Literal["repaired", "equal"]
"""How a key was settled: its row was written, or it was as the source says already."""


class FiledAway(msgspec.Struct, frozen=True):
    """How a record was redriven: stored with it, under `redriven/`. `at` is in RFC 3339."""

    at: str
    how: Settled


class KeptKey(msgspec.Struct, frozen=True):
    """A key that stays quarantined, and why."""

    id: str
    key: str
    detail: str


class KeyRedriveReport(msgspec.Struct, frozen=True):
    """What a redrive did.

    `repaired`, `equal`: keys, by how they were settled. `kept`: keys that stay. `objects` and
    `documents`: how many moved to `redriven/`. `split`: records of failure documents that got an
    object of their own, because their key stays.
    """

    repaired: int
    equal: int
    kept: Sequence[KeptKey]
    objects: int
    documents: int
    split: int
    seconds: float


class KeyRedrive:
    """Repairs quarantined keys, and files their records away."""

    def __init__(
        self,
        quarantine: KeyQuarantine,
        objects: Objects,
        repair: SinkOf[Mapping[str, Any]],
        *,
        clock: Clock,
        executor: Executor,
        pace: Pace | None = None,
        keys_at_once: int = AT_ONCE,
    ) -> None:
        """Set up a redrive.

        Args:
            quarantine: reads the records.
            objects: their bucket.
            repair: makes rows what the source has; see `RowRepair`.
            clock: the clock.
            executor: reads and writes objects, several at the same time.
            pace: limits the keys a second; None: no limit.
            keys_at_once: at most so many keys are repaired before their objects are moved.
        """
        self._quarantine = quarantine
        self._objects = objects
        self._repair = repair
        self._clock = clock
        self._executor = executor
        self._pace = pace
        self._at_once = max(1, min(keys_at_once, AT_ONCE))

    def run(
        self, keys: Sequence[QuarantinedKey], on_progress: Callable[[int], None] = lambda _: None
    ) -> KeyRedriveReport:
        """Redrive these keys.

        Args:
            keys: as they were found.
            on_progress: is told how many keys are done.

        Raises:
            RequestFailedError: Table Store failed for too long; what is not settled stays.
            StoreUnreadableError: the source cannot be read.
            MisconfiguredError: the settings, or the table in Table Store, are not right.
        """
        began = self._clock.elapsed()
        self._repair.check()
        hows: dict[str, Settled] = {}
        kept: list[KeptKey] = []
        objects = 0
        for some in batched(keys, self._at_once):
            outcomes = settled([one.item_key for one in some], self._repair, self._clock)
            by_key = {keys_as_text(key): outcome for key, outcome in outcomes}
            for one in some:
                match by_key[one.key]:
                    case Applied():
                        hows[one.key] = "repaired"
                    case Duplicate():
                        hows[one.key] = "equal"
                    case Refused(detail):
                        kept.append(KeptKey(one.id, one.key, detail))
                    case other:
                        kept.append(KeptKey(one.id, one.key, f"not settled: {other}"))
            objects += self._file_objects(some, hows)
            if self._pace is not None:
                self._pace.spend(len(some))
            on_progress(len(hows) + len(kept))
        documents, split = self._file_documents(
            dict.fromkeys(place for one in keys if one.key in hows for place in one.documents), hows
        )
        counts = Counter(hows.values())
        return KeyRedriveReport(
            repaired=counts["repaired"],
            equal=counts["equal"],
            kept=kept,
            objects=objects,
            documents=documents,
            split=split,
            seconds=self._clock.elapsed() - began,
        )

    def _file_objects(self, keys: Sequence[QuarantinedKey], hows: Mapping[str, Settled]) -> int:
        """File away the objects of those keys that are settled."""
        at = rfc3339(dt.datetime.fromtimestamp(self._clock.now(), dt.UTC), "seconds")
        settled_at = {place: one.key for one in keys if one.key in hows for place in one.objects}
        moving = {}
        for place, body in self._bodies(settled_at):
            key = settled_at[place]
            if self._is_about(key, place, body):
                moving[place] = (body, FiledAway(at, hows[key]))
        file_away(self._objects, self._executor, moving)
        return len(moving)

    def _is_about(self, key: str, place: str, body: bytes) -> bool:
        """Whether an object is still about this key: somebody may have replaced it meanwhile."""
        try:
            return self._quarantine.record_in(place, body).partition_key == key
        except ForeignObjectError:
            return False

    def _file_documents(
        self, places: Iterable[str], hows: Mapping[str, Settled]
    ) -> tuple[int, int]:
        """File away failure documents; records whose keys stay get objects of their own before.

        Returns:
            How many documents, and how many such records.
        """
        documents = split = 0
        for some in batched(places, DOCUMENTS_AT_ONCE):
            moving: dict[str, tuple[bytes, None]] = {}
            staying: dict[str, QuarantinedRecord] = {}
            for place, body in self._bodies(some):
                try:
                    records = self._quarantine.records_in(place, body)
                except (NotADocumentError, ForeignObjectError):
                    continue  # somebody has replaced it meanwhile
                moving[place] = (body, None)
                staying |= {one.key: one for one in records if one.partition_key not in hows}
            deque(self._executor.map(self._save, staying.values()), maxlen=0)
            file_away(self._objects, self._executor, moving)
            documents, split = documents + len(moving), split + len(staying)
        return documents, split

    def _save(self, held: QuarantinedRecord) -> None:
        self._objects.write_new(held.key, msgspec.json.encode(held))

    def _bodies(self, places: Collection[str]) -> Iterator[tuple[str, bytes]]:
        """The objects that nobody has moved meanwhile."""
        for place, body in zip(places, self._executor.map(self._objects.read, places), strict=True):
            if body is not None:
                yield place, body
