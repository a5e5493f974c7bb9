"""`lockstep import`: images that were never on the stream."""

import sys
from pathlib import Path
from typing import BinaryIO

import click
import msgspec

from lockstep.backfill import Backfilled, Point, Refused, SourceError, sources
from lockstep.commands.endings import INTERRUPTED, NO
from lockstep.commands.options import connected, json_option, stack_options
from lockstep.converters import load_mapping
from lockstep.terminal import answers, notes, print_json, print_table, printable

_WORDS = {
    "there": "is there already (`--replace` puts it all the same)",
    "deleted": "was deleted (`--replace` brings it back)",
    "newer_there": "a newer version is there",
}


@click.command("import")
@click.argument("source")
@stack_options
@json_option
@click.option("--from", "mapping", metavar="MAPPING", help="`tate`, or a .toml or .json file.")
@click.option("--replace", is_flag=True, help="Also images that are there, or were deleted.")
@click.option(
    "--refused",
    type=click.File("wb"),
    help="Keep each line there that is no image, as it was.",
)
@click.option(
    "--resume",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Keep in FILE how far it is; go on from there if there is one.",
)
@click.option("--apply", "applies", is_flag=True, help="Do it; else only say what would be done.")
def import_command(
    source: str,
    name: str | None,
    state: Path,
    *,
    mapping: str | None,
    replace: bool,
    refused: BinaryIO | None,
    resume: Path | None,
    applies: bool,
    as_json: bool,
) -> None:
    """Images that were never on the stream: SOURCE is a file, `-`, or s3://BUCKET/KEY.

    One image a line (NDJSON, or gzip of it); s3://BUCKET/FOLDER/ means all in it. An image that
    the table has is left alone. Exit code 1: some lines were no images; all others are put.
    """
    converter = load_mapping(mapping) if mapping else None
    system = connected(name, state)
    after = _resumed(resume) if resume else None
    told: list[Refused] = []

    def on_refused(one: Refused, text: bytes) -> None:
        notes.print(f"{one.source}:{one.line}: {one.reason}: {printable(one.detail)}")
        if refused is not None:
            refused.write(text.rstrip(b"\r\n") + b"\n")
        if as_json:
            told.append(one)

    with notes.status("importing") as line:

        def on_step(reached: Point, done: Backfilled) -> None:
            line.update(f"importing: {done.new + done.replaced:,} images, at {reached.source}")
            if resume is not None and applies:
                _keep(resume, reached)

        backfill = system.backfill(
            mapping=converter,
            replace=replace,
            apply=applies,
            on_refused=on_refused,
            on_step=on_step,
        )
        try:
            done = backfill.run(sources(source, lambda: system.clients.s3), after)
        except KeyboardInterrupt:
            notes.print(
                "interrupted: run it again; what is in the table by then is left alone, and with "
                "--resume what is on the stream is passed over"
            )
            sys.exit(INTERRUPTED)
    if resume is not None and applies:
        resume.unlink(missing_ok=True)
    if as_json:
        print_json(msgspec.structs.asdict(done) | {"refused": told})
    else:
        show_backfill(done, applies=applies)
    sys.exit(NO if done.refused else 0)


def show_backfill(done: Backfilled, *, applies: bool) -> None:
    """An import as a person reads it."""
    if done.left:
        rows = [[_WORDS[fate], f"{count:,}"] for fate, count in done.left.items()]
        print_table(["left alone", " images"], rows)
    verb = "put" if applies else "would be put"
    answers.print(
        f"{done.new:,} new and {done.replaced:,} replaced {verb}, {done.refused:,} refused"
    )
    if not applies and done.new + done.replaced:
        answers.print("`--apply` does it")


def _resumed(file: Path) -> Point | None:
    if not file.exists():
        return None
    try:
        return msgspec.json.decode(file.read_bytes(), type=Point)
    except msgspec.DecodeError:
        message = f"{file}: an import did not write that: name another file for --resume"
        raise SourceError(message) from None


def _keep(file: Path, reached: Point) -> None:
    """In one step: whoever is ended meanwhile finds the one before."""
    unfinished = file.with_name(file.name + ".new")
    unfinished.write_bytes(msgspec.json.encode(reached) + b"\n")
    unfinished.rename(file)
