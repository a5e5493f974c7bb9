"""`lockstep import`: put images that were never on the stream onto it."""

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

import click
import msgspec

from lockstep.commands.chosen_stack import applies, changed_stack_options, connected
from lockstep.commands.endings import NO
from lockstep.commands.files import WRITTEN, is_read, opened
from lockstep.commands.options import (
    APPLY_HINT,
    apply_option,
    examples,
    json_option,
    resume_file_option,
)
from lockstep.commands.picture_import import import_pictures_from
from lockstep.commands.refusals import Refusals
from lockstep.console.terminal import answers, notes, print_json, print_table
from lockstep.console.text import printable
from lockstep.machine.files import write_json
from lockstep.producing.backfill import Backfilled, Fate, Point, RefusedLine
from lockstep.producing.table_source import TABLE
from lockstep.source_files.converters import load_mapping
from lockstep.source_files.text import SourceError
from lockstep.stack.use_cases.put import backfill as prepare
from lockstep.stack.use_cases.put import import_sources

_WORDS = {
    "there": "in the table (--replace puts it again)",
    "same": "in the table with the same content",
    "deleted": "deleted (--undelete restores it)",
    "newer_there": "the table has a newer version",
}

_NOTHING = Backfilled(0, 0, {}, 0)

# Nobody knows which lines of the last request are on the stream.
_AGAIN = (
    "; some of the next lines may also be put. Run it again: the import skips images that are in "
    "the table and, with --resume, lines that are put"
)


@click.command(
    "import",
    epilog=examples(
        "lockstep import --from tate data/tate-2000.ndjson",
        "lockstep import --apply s3://my-bucket/images/ --refused rejected.ndjson",
        "lockstep import --undelete dynamodb://images-restored",
        "lockstep import --from-s3-pictures s3://my-pictures/pictures/2024/",
    ),
)
@click.argument("source")
@changed_stack_options(when=applies)
@json_option
@click.option(
    "--from",
    "mapping",
    metavar="MAPPING",
    help="Convert each record with this mapping file (.toml or .json), or with `tate`.",
)
@click.option(
    "--replace", is_flag=True, help="Also put images that are in the table or that were deleted."
)
@click.option("--undelete", is_flag=True, help="Also put images that were deleted.")
@click.option(
    "--from-s3-pictures",
    "pictures",
    is_flag=True,
    help="SOURCE is s3://BUCKET/PREFIX in the picture bucket: put what its pictures say.",
)
@click.option(
    "--refused",
    "refused_file",
    type=WRITTEN,
    metavar="FILE",
    help="Write each rejected record to FILE, as a line.",
)
@resume_file_option
@apply_option
def import_command(
    source: str,
    name: str | None,
    state: Path,
    *,
    mapping: str | None,
    replace: bool,
    undelete: bool,
    pictures: bool,
    refused_file: Path | None,
    resume: Path | None,
    applies: bool,
    as_json: bool,
) -> None:
    """Put images that were never on the stream onto it.

    SOURCE is a file, `-` for standard input, s3://BUCKET/KEY, or s3://BUCKET/FOLDER/ for all files
    in it. A file has one image per line (NDJSON), or is a JSON array, CSV or TSV. It may be
    compressed (gzip, zstd, bzip2, xz). SOURCE may also be dynamodb://TABLE, a restored copy of the
    table. The import skips images that are in the table.

    Exit code 1: some images were rejected; all others are put.
    """
    if pictures:
        others = {"--from": mapping, "--replace": replace, "--undelete": undelete}
        _take_none_of(others | {"--refused": refused_file, "--resume": resume})
        import_pictures_from(connected(name, state), source, applies=applies, as_json=as_json)
        return
    _keep_apart(refused_file, (source, mapping, resume))
    if mapping and source.startswith(TABLE):
        raise click.UsageError(f"{source} has images already: leave out --from")
    if replace and undelete:
        raise click.UsageError("--replace includes --undelete: give one of them")
    converter = load_mapping(mapping) if mapping else None
    clients = connected(name, state)
    after = _resumed(resume) if resume else None
    refused = opened(refused_file, goes_on=after is not None) if refused_file else None
    with notes.status("importing") as line:
        told = _Told(refused, resume if applies else None, line.update, lists=as_json)
        backfill = prepare(
            clients,
            mapping=converter,
            replaces="all" if replace else "deleted" if undelete else "nothing",
            apply=applies,
            on_refused=told.refuse,
            on_step=told.step,
        )
        try:
            done = backfill.run(import_sources(clients, source), after)
        except BaseException as error:
            told.refused.end()
            so_far = told.so_far
            if as_json:
                print_json(_imported(so_far, told.refused.listed, _why(error)), applied=applies)
            elif so_far != _NOTHING or isinstance(error, KeyboardInterrupt):
                counted = _counted(so_far, applies=applies)
                notes.print(f"not finished: {counted}{_AGAIN if applies else ''}")
            raise
    told.refused.end()
    if done == _NOTHING and after is None:
        notes.print(f"{printable(source)} has no records")
    if resume is not None and applies:
        resume.unlink(missing_ok=True)
    if as_json:
        print_json(_imported(done, told.refused.listed), applied=applies)
    else:
        show_backfill(done, applies=applies)
    sys.exit(NO if done.rejected else 0)


class _Told:
    """Reports the progress of an import, and keeps it for an interruption."""

    def __init__(
        self,
        kept: BinaryIO | None,
        point: Path | None,
        tell: Callable[[str], None],
        *,
        lists: bool,
    ) -> None:
        self.refused = Refusals[RefusedLine](lists=lists)
        self._kept = kept
        self._point = point
        self._tell = tell
        self._on_stream = _NOTHING

    def refuse(self, one: RefusedLine, text: bytes) -> None:
        self.refused.add(f"{one.source}:{one.line}", one)
        if self._kept is not None:
            self._kept.write(text.rstrip(b"\r\n") + b"\n")

    def step(self, reached: Point, done: Backfilled) -> None:
        self._on_stream = done
        self._tell(f"importing: {done.new + done.replaced:,} images, at {reached.source}")
        if self._kept is not None:
            self._kept.flush()  # a resumed import continues after these lines
        if self._point is not None:
            write_json(self._point, reached)

    @property
    def so_far(self) -> Backfilled:
        return msgspec.structs.replace(self._on_stream, rejected=self.refused.count)


def show_backfill(done: Backfilled, *, applies: bool) -> None:
    """Print an import as text."""
    if done.skipped:
        rows = [[_WORDS[fate], f"{count:,}"] for fate, count in done.skipped.items()]
        print_table(["skipped, because", " images"], rows)
    answers.print(_counted(done, applies=applies))
    if not applies and done.new + done.replaced:
        answers.print(APPLY_HINT)


def _counted(done: Backfilled, *, applies: bool) -> str:
    verb = "put" if applies else "would be put"
    return f"{done.new:,} new and {done.replaced:,} replaced {verb}, {done.rejected:,} rejected"


class Imported(msgspec.Struct, frozen=True):
    """What an import did, or would do.

    Attributes:
        new: images that are put and were not in the table.
        replaced: images that are put and were in the table.
        skipped: images that are skipped: they are `there`, there with the `same` content, `deleted`
            or `newer_there`.
        rejected: lines that are no valid image; `line` counts from 1.
        error: why the import ended early; null if it came to its end.
    """

    new: int
    replaced: int
    skipped: Mapping[Fate, int]
    rejected: Sequence[RefusedLine]
    error: str | None


def _imported(
    done: Backfilled, rejected: Sequence[RefusedLine], error: str | None = None
) -> Imported:
    return Imported(done.new, done.replaced, done.skipped, rejected, error)


def _why(error: BaseException) -> str:
    return "interrupted" if isinstance(error, KeyboardInterrupt) else str(error)


def _take_none_of(options: Mapping[str, object]) -> None:
    """Refuse options that have no meaning for pictures."""
    for option, given in options.items():
        if given:
            raise click.UsageError(f"--from-s3-pictures does not take {option}: leave it out")


def _keep_apart(refused: Path | None, reads: Iterable[str | Path | None]) -> None:
    """Refuse to write over a file that is read."""
    for read in reads:
        if refused is not None and read is not None and is_read(refused, str(read)):
            raise click.UsageError(f"--refused {refused} is an input file: choose another one")


def _resumed(file: Path) -> Point | None:
    if not file.exists():
        return None
    try:
        return msgspec.json.decode(file.read_bytes(), type=Point)
    except msgspec.DecodeError:
        message = f"{file} was not written by an import: choose another file for --resume"
        raise SourceError(message) from None
