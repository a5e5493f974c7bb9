"""A table as the source of an import: a copy of the system of record, restored under another name.

Its images go back as new events: they say what the copy says, with a new version. The tombstones of
the copy say nothing: what was deleted then stays as it is.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import msgspec

from lockstep.source_files.unreadable import UnreadableRecord
from lockstep.stores.image_state import Malformed, StoredImage
from lockstep.stores.table import WholePage
from shared.change import Put

# How the name of such a source begins.
TABLE = "dynamodb://"


class TableSource(msgspec.Struct, frozen=True):
    """The images of a table, as records of an import.

    `name` is what is typed; `pages` are all items of the table, in an order that stays the same
    while nobody writes to it.
    """

    name: str
    pages: Iterable[WholePage]

    @contextmanager
    def records(self, *, are_events: bool) -> Iterator[Iterator[bytes | UnreadableRecord]]:  # noqa: ARG002 - always
        """See `RecordSource.records`."""
        yield self._records()

    def _records(self) -> Iterator[bytes | UnreadableRecord]:
        for page in self.pages:
            for image_id, stored in page.images:
                record = _record_of(image_id, stored)
                if record is not None:
                    yield record


def _record_of(image_id: str, stored: StoredImage) -> bytes | UnreadableRecord | None:
    """The image without version and time, which the import sets; None for a tombstone."""
    if isinstance(stored, Malformed):
        if stored.deleted:
            return None
        text = msgspec.json.encode({"image_id": image_id})
        return UnreadableRecord(text, "malformed", f"image {image_id}: {stored.why}")
    change = stored.change
    if not isinstance(change, Put):
        return None
    return msgspec.json.encode({"image_id": image_id, "image": change.image})
