"""`lockstep upload`: put pictures into the picture bucket, and their events onto the stream."""

import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import get_args

import click
import msgspec
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from lockstep.commands.chosen_stack import connected, written_stack_options
from lockstep.commands.endings import NO
from lockstep.commands.options import examples, json_option, named_values
from lockstep.commands.refusals import Refusals
from lockstep.console.extras import READS_PICTURES, check_installed
from lockstep.console.terminal import answers, notes, print_json
from lockstep.console.text import counted, printable
from lockstep.images.edits import ATTRIBUTE, Edit
from lockstep.pictures.folder import FileFilter
from lockstep.pictures.ids import IdRule
from lockstep.pictures.notes import PictureNote
from lockstep.pictures.upload.files import FileToSend, files_to_send
from lockstep.pictures.upload.outcomes import End, RefusedFile, SentPicture
from lockstep.pictures.upload.wish import DEFAULT_JOBS, DEFAULT_ZONE, UploadWish
from shared.event import Image

# In the order of the output: what was done, and what a dry run would do.
_DONE: Mapping[End, str] = {
    "uploaded": "uploaded",
    "replaced": "replaced",
    "event_put": "events put",
    "unchanged": "unchanged",
}
_WOULD: Mapping[End, str] = {
    "uploaded": "would be uploaded",
    "replaced": "would be replaced",
    "event_put": "would get an event",
    "unchanged": "unchanged",
}
# Nobody reads more kinds of notes than this.
_SHOWN_NOTES = 10


class UploadedFiles(msgspec.Struct, frozen=True):
    """What an upload did, or would do.

    Attributes:
        dry_run: whether nothing is changed.
        uploaded: pictures whose key had none.
        replaced: pictures that took the place of others (`--replace`).
        event_put: pictures that were in the bucket, and whose events are put now.
        unchanged: pictures that were in the bucket, with their events.
        pictures: all of these, in the order of the files.
        refused: files that are not uploaded.
        seconds: how long it took.
        error: why the upload ended early; null if it came to its end.
    """

    dry_run: bool
    uploaded: int
    replaced: int
    event_put: int
    unchanged: int
    pictures: Sequence[SentPicture]
    refused: Sequence[RefusedFile]
    seconds: float
    error: str | None


@click.command(
    "upload",
    epilog=examples(
        "lockstep upload ~/Pictures/2024 --dry-run",
        'lockstep upload ~/Pictures --include "*.jpg" --zone Europe/Berlin',
        "lockstep upload cat.jpg dog.jpg --attribute licence=CC0",
    ),
)
@click.argument(
    "paths",
    metavar="PATH...",
    nargs=-1,
    required=True,
    type=click.Path(path_type=Path),
)
@written_stack_options
@click.option(
    "--include", multiple=True, metavar="PATTERN", help="Take only files like *.jpg in folders."
)
@click.option(
    "--exclude", multiple=True, metavar="PATTERN", help="Leave out files and folders like this."
)
@click.option("--hidden", is_flag=True, help="Also take what has a name with a dot in front.")
@click.option(
    "--id-from",
    "rule",
    type=click.Choice(get_args(IdRule)),
    default="path",
    show_default=True,
    help="What the id of an image follows from.",
)
@click.option("--tag", "tags", multiple=True, metavar="TAG", help="Give all images this tag.")
@click.option(
    "--attribute",
    "attributes",
    multiple=True,
    metavar="NAME=VALUE",
    callback=named_values,
    help="Give all images this attribute.",
)
@click.option("--gps", is_flag=True, help="Also read where pictures were taken.")
@click.option(
    "--zone",
    default=DEFAULT_ZONE,
    show_default=True,
    metavar="ZONE",
    help="Time zone of pictures that do not say theirs, like Europe/Berlin.",
)
@click.option("--replace", "replaces", is_flag=True, help="Replace other pictures of the same id.")
@click.option(
    "--jobs",
    type=click.IntRange(1, 64),
    default=DEFAULT_JOBS,
    show_default=True,
    metavar="N",
    help="Send so many pictures at the same time.",
)
@click.option("--dry-run", "dry", is_flag=True, help="Only show what would be done.")
@json_option
def upload_command(
    paths: Sequence[Path],
    name: str | None,
    state: Path,
    *,
    include: tuple[str, ...],
    exclude: tuple[str, ...],
    hidden: bool,
    rule: IdRule,
    tags: tuple[str, ...],
    attributes: Mapping[str, str],
    gps: bool,
    zone: str,
    replaces: bool,
    jobs: int,
    dry: bool,
    as_json: bool,
) -> None:
    """Put pictures into a bucket, and their events onto the stream.

    PATH is a file, or a folder with all that is in it. What the pictures say of themselves becomes
    the metadata of their images. Run it again after an interruption: what is there is not sent
    again.

    Exit code 1: some files are not uploaded; all others are.
    """
    for module in READS_PICTURES:
        check_installed(module)
    from lockstep.stack.use_cases.upload import upload  # noqa: PLC0415 - not without the extra

    edit = Edit(values={ATTRIBUTE + key: value for key, value in attributes.items()}, add_tags=tags)
    given = edit.edited(Image(name="x"))
    wish = UploadWish(
        rule=rule,
        tags=given.tags or (),
        attributes=given.attributes or {},
        zone=zone,
        gps=gps,
        replaces=replaces,
        dry=dry,
        jobs=jobs,
    )
    clients = connected(name, state)
    told = _UploadSoFar(dry=dry, lists=as_json)
    files: list[FileToSend] = []
    for found in files_to_send(paths, FileFilter(include, exclude, hidden=hidden), rule):
        if isinstance(found, FileToSend):
            files.append(found)
        else:
            told.take(found)
    try:
        with (
            _progress(files) as progress,
            closing(upload(clients, files, wish, progress.sent)) as ends,
        ):
            for end in ends:
                told.take(end)
                progress.ended()
    except BaseException as error:
        told.end_early(error, as_json=as_json)
        raise
    told.end(as_json=as_json)
    sys.exit(NO if told.refused.count else 0)


class _UploadSoFar:
    """What became of the files so far, as people and programs are told."""

    def __init__(self, *, dry: bool, lists: bool) -> None:
        self.refused = Refusals[RefusedFile](lists=lists, of="file")
        self._counts: Counter[End] = Counter()
        self._notes: Counter[PictureNote] = Counter()
        self._pictures: list[SentPicture] = []
        self._dry = dry
        self._words = _WOULD if dry else _DONE
        self._lists = lists
        self._started = time.monotonic()

    def take(self, end: SentPicture | RefusedFile) -> None:
        if isinstance(end, RefusedFile):
            self.refused.add(printable(end.file), end)
            return
        self._counts[end.end] += 1
        self._notes.update(end.notes)
        if self._lists:
            self._pictures.append(end)
        elif self._dry:
            answers.print(printable(f"{end.file}: {self._words[end.end]}, as image {end.image_id}"))

    def end(self, *, as_json: bool) -> None:
        self.refused.end()
        for note, count in self._notes.most_common(_SHOWN_NOTES):
            notes.print(printable(f"{counted(count, 'picture')}: {note.field}: {note.why}"))
        if len(self._notes) > _SHOWN_NOTES:
            notes.print(f"and {len(self._notes) - _SHOWN_NOTES:,} more kinds (`--json` lists all)")
        if as_json:
            print_json(self._answer(None))
        elif not self._counts and not self.refused.count:
            notes.print("no file to upload: the folders have none, or the patterns leave out all")
        else:
            answers.print(f"{self._counted()}, {self._seconds():.1f} s")
            if self._dry:
                answers.print("nothing is changed: this was a dry run")

    def end_early(self, error: BaseException, *, as_json: bool) -> None:
        self.refused.end()
        if as_json:
            interrupted = isinstance(error, KeyboardInterrupt)
            print_json(self._answer("interrupted" if interrupted else str(error)))
        elif not self._dry:
            notes.print(
                f"not finished: {self._counted()}; some of the next pictures may also be there. "
                "Run it again: what is there is not sent again"
            )

    def _counted(self) -> str:
        shown = [
            f"{self._counts[end]:,} {word}"
            for end, word in self._words.items()
            if self._counts[end] or end in {"uploaded", "unchanged"}
        ]
        return ", ".join([*shown, f"{self.refused.count:,} refused"])

    def _seconds(self) -> float:
        return time.monotonic() - self._started

    def _answer(self, error: str | None) -> UploadedFiles:
        return UploadedFiles(
            dry_run=self._dry,
            **{end: self._counts[end] for end in _DONE},
            pictures=self._pictures,
            refused=self.refused.listed,
            seconds=round(self._seconds(), 3),
            error=error,
        )


class _UploadProgress:
    """The progress on a terminal."""

    def __init__(self, progress: Progress, files: Sequence[FileToSend]) -> None:
        self._progress = progress
        total = sum(file.size_bytes for file in files)
        self._task = progress.add_task("", total=total, ended=0, files=len(files))
        self._ended = 0

    def sent(self, count: int) -> None:
        self._progress.advance(self._task, count)

    def ended(self) -> None:
        self._ended += 1
        self._progress.update(self._task, ended=self._ended)


@contextmanager
def _progress(files: Sequence[FileToSend]) -> Iterator[_UploadProgress]:
    """Show on a terminal how many pictures are done, how fast, and how long the rest takes."""
    with Progress(
        TextColumn("{task.fields[ended]:,} of {task.fields[files]:,} pictures", markup=False),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        console=notes,
        transient=True,
        disable=not notes.is_terminal,
    ) as progress:
        yield _UploadProgress(progress, files)
