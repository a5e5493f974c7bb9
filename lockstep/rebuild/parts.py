"""What a rebuild uses, how to rebuild, and why it may fail."""

from collections.abc import Callable, Iterator
from typing import Protocol

import msgspec

from lockstep.audit.audit import Audit
from lockstep.console.errors import UserError
from lockstep.rebuild.indices import Indices
from lockstep.rebuild.worker import RebuildWorker, WorkerState, state_of
from lockstep.stores.index import IndexReader
from lockstep.stores.table import TableReader, WholePage
from shared.clock import Clock
from shared.sink import Sink


class ImageSource(Protocol):
    """What a new index is filled from first: the table, or an export of it."""

    @property
    def name(self) -> str:
        """The name of the source: a position is valid for this source only."""
        ...

    def count(self) -> int:
        """The approximate number of items."""
        ...

    def pages(self, position: str | None) -> Iterator[WholePage]:
        """All pages from this position; None: from the first page.

        Raises:
            StoreUnreadableError: it could not be read completely.
        """
        ...


class RebuildOptions(msgspec.Struct, frozen=True):
    """How to rebuild.

    `at_most`: how many images fewer, in percent, readers may find in the new index.
    `settle`: how many seconds a bulk request in progress at the switch can take to reach the old
    index. None: as long as OpenSearch says that one is in progress (`Indices.writing`).
    `patience`: seconds to wait for consumers that lag. `drop_old`: delete the old index at the end,
    if the audit finds both stores equal and every image was copied. `before_deploying`: build the
    index although the deployed consumers have another index mapping, because this release is
    deployed next.
    """

    at_most: float
    settle: float | None
    patience: float
    drop_old: bool = False
    before_deploying: bool = False


class OtherReleaseError(UserError):
    """The deployed consumers have another index mapping than this release."""


class NotSwitchedError(UserError):
    """The new index lacks too much to be switched to; the old one stays live."""


class NotFinishedError(UserError):
    """The rebuild could not be completed now; running it again resumes it."""


class RebuildProgress(Protocol):
    """Called with the current step, its count, and the total if it is known."""

    def __call__(self, step: str, count: int, total: int | None) -> None:
        """Report it."""
        ...


class RebuildParts(msgspec.Struct, frozen=True):
    """The stores and services that a rebuild uses."""

    indices: Indices
    items: ImageSource
    """What the new index is filled from first."""
    table: TableReader
    index: Callable[[str], IndexReader]
    """The reader of an index, by the index's name."""
    sink: Sink
    """Writes through the alias `Indices.building`."""
    audit: Callable[[Callable[[str, int], None]], Audit]
    """Compares the table and the live index; reports the store and the count while it reads."""
    settled: Callable[[], float]
    """The time up to which both consumers have processed all arrivals, in seconds since 1970."""
    clock: Clock
    worker: RebuildWorker
    state_of: Callable[[RebuildWorker], WorkerState] = state_of
    """Whether a worker still runs."""
    refusal: str | None = None
    """Why this release must not build an index for the deployed consumers; None: it may."""
