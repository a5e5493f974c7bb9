"""`lockstep import --from-s3-pictures`: put the events of pictures that are in the bucket."""

import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Literal

import msgspec

from lockstep.commands.endings import NO
from lockstep.commands.options import APPLY_HINT
from lockstep.commands.progress import counting
from lockstep.commands.refusals import Refusals
from lockstep.console.extras import READS_PICTURES, check_installed
from lockstep.console.terminal import answers, notes, print_json
from lockstep.console.text import printable
from lockstep.pictures.alignment import Alignment

if TYPE_CHECKING:
    from lockstep.stack.clients import Clients
    from lockstep.stack.use_cases.pictures import AlignedKey

_WORDS: Mapping[Alignment, str] = {
    "put": "events put",
    "unchanged": "unchanged",
    "no picture": "no picture",
    "deleted": "deleted meanwhile",
}


class KeyNotImported(msgspec.Struct, frozen=True):
    """A key whose event is not put, and why."""

    key: str
    reason: Literal["failed"]
    detail: str


class ImportedPictures(msgspec.Struct, frozen=True):
    """What an import of pictures did, or would do.

    Attributes:
        pictures: the objects below the prefix.
        put: objects whose events are put. Without `--apply`, nobody reads them: some may be no
            picture.
        unchanged: pictures whose events are on the stream already.
        no_picture: objects that are no picture.
        deleted: pictures that were deleted during the import.
        failed: keys whose events are not put.
        seconds: how long it took.
        error: why the import ended early; null if it came to its end.
    """

    pictures: int
    put: int
    unchanged: int
    no_picture: int
    deleted: int
    failed: Sequence[KeyNotImported]
    seconds: float
    error: str | None


def import_pictures_from(clients: "Clients", source: str, *, applies: bool, as_json: bool) -> None:
    """Run the command. It exits with code 1 if some keys failed."""
    for module in READS_PICTURES:
        check_installed(module)
    from lockstep.stack.use_cases.picture_import import (  # noqa: PLC0415 - not without the extra
        import_pictures,
        pictures_at,
    )

    started = time.monotonic()
    with notes.status("listing pictures"):
        found = pictures_at(clients, source)
    told = _ImportSoFar(len(found), started, applies=applies, as_json=as_json)
    try:
        with (
            counting("importing pictures") as progress,
            closing(import_pictures(clients, found, applies=applies)) as ends,
        ):
            task = progress.add_task("", total=len(found))
            for end in ends:
                told.take(end)
                progress.advance(task)
    except BaseException as error:
        told.end_early(error)
        raise
    told.end()
    sys.exit(NO if told.failed.count else 0)


class _ImportSoFar:
    """What became of the keys so far, as people and programs are told."""

    def __init__(self, pictures: int, started: float, *, applies: bool, as_json: bool) -> None:
        self.failed = Refusals[KeyNotImported](lists=as_json, of="key")
        self._counts: Counter[Alignment] = Counter()
        self._pictures = pictures
        self._started = started
        self._applies = applies
        self._as_json = as_json

    def take(self, end: "AlignedKey") -> None:
        if end.outcome is not None:
            self._counts[end.outcome] += 1
        else:
            one = KeyNotImported(end.key, "failed", end.failure or "")
            self.failed.add(printable(end.key), one)

    def end(self) -> None:
        self.failed.end()
        if self._as_json:
            print_json(self._answer(None), applied=self._applies)
            return
        if not self._pictures:
            notes.print("there is no picture")
        answers.print(self._counted())
        if not self._applies and self._counts["put"]:
            answers.print(APPLY_HINT)

    def end_early(self, error: BaseException) -> None:
        self.failed.end()
        if self._as_json:
            interrupted = isinstance(error, KeyboardInterrupt)
            why = "interrupted" if interrupted else str(error)
            print_json(self._answer(why), applied=self._applies)
        else:
            again = ". Run it again: it goes on with the rest" if self._applies else ""
            notes.print(f"not finished: {self._counted()}{again}")

    def _counted(self) -> str:
        words = _WORDS if self._applies else {**_WORDS, "put": "events would be put"}
        shown = [
            f"{self._counts[outcome]:,} {word}"
            for outcome, word in words.items()
            if self._counts[outcome] or outcome in {"put", "unchanged"}
        ]
        return ", ".join([*shown, f"{self.failed.count:,} failed, {self._seconds():.1f} s"])

    def _seconds(self) -> float:
        return time.monotonic() - self._started

    def _answer(self, error: str | None) -> ImportedPictures:
        return ImportedPictures(
            pictures=self._pictures,
            put=self._counts["put"],
            unchanged=self._counts["unchanged"],
            no_picture=self._counts["no picture"],
            deleted=self._counts["deleted"],
            failed=self.failed.listed,
            seconds=round(self._seconds(), 3),
            error=error,
        )
