"""The first read of an audit: reads both stores completely, and finds what seems to differ."""

from collections.abc import Callable, Iterator
from itertools import batched
from typing import Protocol

from lockstep.audit.comparison import Comparison
from lockstep.audit.spill import Spill
from lockstep.audit.suspects import Suspect
from lockstep.stores.readers import EntryReader


class FirstRead(Protocol):
    """Reads both stores completely."""

    def suspects(
        self,
        *,
        now: Callable[[], float],
        on_read: Callable[[str, int], None],
        check: Callable[[], None],
    ) -> Iterator[Suspect]:
        """Every image that seems to differ, once both stores were read.

        Args:
            now: seconds since 1970.
            on_read: called with a store's name, and the number of entries read since the last call.
            check: called now and then; it raises if the audit must end.

        Raises:
            StoreUnreadableError: a store could not be read completely.
        """
        ...


class ReadHere:
    """Reads one store after the other in this process, with the entries in temporary files."""

    def __init__(self, record: EntryReader, replica: EntryReader, comparison: Comparison) -> None:
        self._stores = {comparison.record: record, comparison.replica: replica}
        self._comparison = comparison

    def suspects(
        self,
        *,
        now: Callable[[], float],
        on_read: Callable[[str, int], None],
        check: Callable[[], None],
    ) -> Iterator[Suspect]:
        """See `FirstRead`."""
        spill = Spill(self._comparison.record, self._comparison.replica)
        try:
            for name, store in self._stores.items():
                for entries in batched(store.scan(), 1000):
                    spill.add(name, entries)
                    on_read(name, len(entries))
                    check()
            yield from spill.compare(now(), self._comparison)
        finally:
            spill.close()
