"""Seeded bugs of audit, repair, answers and purge."""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from lockstep.audit.audit import Audit, audit
from lockstep.simulation.components import Components
from lockstep.stores.entry import Entry
from lockstep.stores.table import TableReader


class MissesTheLastItem(TableReader):
    def scan(self) -> Iterator[Entry]:
        yield from list(super().scan())[:-1]


class KeepsTombstones(TableReader):
    """An expired tombstone counts as present: as if it had no end."""

    def scan(self) -> Iterator[Entry]:
        return map(_endless, super().scan())

    def lookup(self, image_ids: Any) -> Mapping[str, Entry]:
        return {one: _endless(entry) for one, entry in super().lookup(image_ids).items()}


def _endless(entry: Entry) -> Entry:
    return msgspec.structs.replace(entry, expires_at=None)


def audits_without_waiting(*args: Any, settled: Any, **kwargs: Any) -> Audit:
    """What is in progress is a difference."""
    del settled
    return audit(*args, **kwargs)


WRONG: Mapping[str, Components] = {
    "audit: the last item of a scan is missed": Components(table_reader=MissesTheLastItem),
    "audit: an expired tombstone counts as present": Components(table_reader=KeepsTombstones),
    "audit: a record in progress is a difference": Components(audit=audits_without_waiting),
}
