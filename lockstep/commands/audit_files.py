"""The files that an audit writes: each difference, and a report for people."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, BinaryIO

import click
import msgspec

from lockstep.commands.files import WRITTEN
from lockstep.console.terminal import notes
from lockstep.console.text import printable

# If `--html` and `--report` name the same file.
DIFFERENT_FILES = "give --html and --report different files"


def report_options[**P, R](command: Callable[P, R]) -> Callable[P, R]:
    """`--report` and `--html`."""
    html = click.option(
        "--html",
        "html_file",
        type=click.Path(dir_okay=False, path_type=Path),
        metavar="FILE",
        help="Write a report for people to FILE (HTML).",
    )
    report = click.option(
        "--report",
        "report_file",
        type=WRITTEN,
        metavar="FILE",
        help="Write each difference to FILE (NDJSON).",
    )
    return report(html(command))


def is_same(one: Path | None, other: Path | None) -> bool:
    """Whether two files that a command writes are the same."""
    return one is not None and other is not None and one.absolute() == other.absolute()


def tell_of(file: Path | None, what: str) -> None:
    """Say what the user's file has now; on standard error, as programs read standard output."""
    if file is not None:
        notes.print(printable(f"{file}: {what}"))


class KeptDifferences[Found, Line]:
    """The differences that an audit found: in a temporary file, and in the user's reports."""

    def __init__(
        self,
        file: IO[bytes],
        report: BinaryIO | None,
        gather: Callable[[Found], None] | None,
        *,
        line: Callable[[Found], object],
        read_as: type[Line],
    ) -> None:
        """Begin without differences.

        Args:
            file: is read again for a repair.
            report: the user's report, one line for each difference.
            gather: is called with each difference.
            line: the line of a difference.
            read_as: what a repair needs of a line.
        """
        self._file = file
        self._report = report
        self._gather = gather
        self._line = line
        self._encoder = msgspec.json.Encoder()
        self._decoder = msgspec.json.Decoder(read_as)
        self.count = 0

    def add(self, found: Found) -> None:
        """Add a difference."""
        self.count += 1
        line = self._encoder.encode(self._line(found)) + b"\n"
        self._file.write(line)
        if self._report is not None:
            self._report.write(line)
        if self._gather is not None:
            self._gather(found)

    def __iter__(self) -> Iterator[Line]:
        """Read all differences."""
        self._file.seek(0)
        return map(self._decoder.decode, self._file)
