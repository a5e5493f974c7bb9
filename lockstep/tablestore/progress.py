"""The progress of a load, in a file from which it can be resumed."""

from collections.abc import Sequence
from pathlib import Path

import msgspec

from lockstep.console.errors import UserError


class LoadProgressError(UserError):
    """A file is not the progress of this load."""


class LoadedSegment(msgspec.Struct, frozen=True):
    """How far a segment is loaded.

    `position` is where reading continues; None: at its first page, or nowhere if it `is_done`.
    """

    position: str | None = None
    is_done: bool = False


class LoadCounts(msgspec.Struct, frozen=True):
    """What became of the items that were read.

    Attributes:
        written: Table Store had no row, or an older one. In a dry run: they can be written.
        there: an earlier load has written the row.
        newer: the row, or its tombstone, is of a record of this stream.
        refused: Table Store cannot hold the item.
    """

    written: int = 0
    there: int = 0
    newer: int = 0
    refused: int = 0

    @property
    def read(self) -> int:
        """All items that were read."""
        return self.written + self.there + self.newer + self.refused


class LoadProgress(msgspec.Struct, frozen=True):
    """How far a load is: of each segment, all items up to its position are settled.

    Attributes:
        stream: the stream of the source that the consumer reads, `TABLE/stream/LABEL`.
        target: the table in Table Store, `INSTANCE/TABLE`.
        segments: one entry for each segment.
        counts: what became of the items.
    """

    stream: str
    target: str
    segments: Sequence[LoadedSegment]
    counts: LoadCounts = LoadCounts()

    @property
    def is_done(self) -> bool:
        """Whether everything is loaded."""
        return all(one.is_done for one in self.segments)


def read_progress(file: Path) -> LoadProgress | None:
    """The progress in a file; None if there is no such file.

    Raises:
        LoadProgressError: the file is something else.
    """
    if not file.exists():
        return None
    try:
        return msgspec.json.decode(file.read_bytes(), type=LoadProgress)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise LoadProgressError(
            f"{file} was not written by a load: choose another file for --resume"
        ) from None
