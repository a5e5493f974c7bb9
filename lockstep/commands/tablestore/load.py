"""`lockstep tablestore load`: copy all items of a DynamoDB table into its replica."""

import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import click
import msgspec

from lockstep.commands.chosen_stack import applies, changed_stack_options
from lockstep.commands.endings import NO
from lockstep.commands.options import (
    APPLY_HINT,
    apply_option,
    examples,
    json_option,
    rate_option,
    resume_file_option,
    write_rate_option,
)
from lockstep.commands.refusals import Refusals
from lockstep.commands.tablestore.target import replica_of
from lockstep.console.terminal import answers, notes, print_json, print_table
from lockstep.console.text import counted, printable
from lockstep.machine.files import write_json
from lockstep.stack.replica import replica_load
from lockstep.tablestore.load import RefusedItem
from lockstep.tablestore.progress import LoadCounts, LoadProgress, read_progress

SEGMENTS, MOST_SEGMENTS = 4, 64
_WORDS = {
    "written": "written",
    "there": "there, from an earlier load",
    "newer": "newer in Table Store: the stream has changed or removed them",
    "refused": "refused: Table Store cannot hold them",
}


@click.command(
    "load",
    epilog=examples(
        "lockstep tablestore load --stack orders",
        "lockstep tablestore load --stack orders --resume load.json --apply",
        "lockstep tablestore load --stack orders --rate 500 --write-rate 900 --apply",
    ),
)
@changed_stack_options(when=applies)
@json_option
@rate_option
@write_rate_option("Write at most this many rows per second to Table Store.")
@click.option(
    "--segments",
    type=click.IntRange(1, MOST_SEGMENTS),
    metavar="COUNT",
    default=SEGMENTS,
    show_default=True,
    help="Read so many segments of the table at the same time.",
)
@resume_file_option
@apply_option
def load_command(
    name: str | None,
    state: Path,
    *,
    rate: float | None,
    write_rate: float | None,
    segments: int,
    resume: Path | None,
    applies: bool,
    as_json: bool,
) -> None:
    """Copy all items of the DynamoDB table into Table Store.

    NAME is the stack that was deployed from template-tablestore.yaml.

    The consumer must read the table's stream before the load begins; otherwise the load is refused.
    Then it may take any time, and the table may change meanwhile: what the consumer writes is
    always newer than what the load writes. Rows that the DynamoDB table does not have stay.

    Exit code 1: Table Store cannot hold some items; all others are written.
    """
    begun = read_progress(resume) if resume else None
    clients, replica = replica_of(name, state, connections=MOST_SEGMENTS)
    if replica.settings.deletions == "row":
        notes.print(
            "DELETIONS=row: an item that is removed while its page is loaded may come back; "
            "load while nobody removes items"
        )
    refused = Refusals[RefusedItem](lists=as_json, of="item")
    so_far = [begun] if begun else []
    with notes.status("loading") as line:

        def on_step(progress: LoadProgress) -> None:
            so_far[:] = [progress]
            done = sum(one.is_done for one in progress.segments)
            line.update(
                f"loading: {progress.counts.read:,} items, {done} of {len(progress.segments)} "
                "segments done"
            )
            if applies and resume is not None:
                write_json(resume, progress)

        load, beginning = replica_load(
            clients,
            replica,
            begun=begun,
            segments=segments,
            rate=rate,
            write_rate=write_rate,
            applies=applies,
            on_refused=lambda one: refused.add(printable(one.key), one),
            on_step=on_step,
        )
        try:
            with ThreadPoolExecutor(len(beginning.segments)) as pool:
                done = load.run(beginning, pool.map)
        except BaseException as error:
            refused.end()
            for one in so_far:
                if as_json:
                    ended = str(error) or type(error).__name__
                    print_json(_loaded(one, refused, ended), applied=applies)
                else:
                    again = "run it again with the same --resume" if resume else "run it again"
                    notes.print(
                        f"not finished: {counted(one.counts.read, 'item')} read; {again} to go on"
                    )
            raise
    refused.end()
    if resume is not None and applies:
        resume.unlink(missing_ok=True)
    if as_json:
        print_json(_loaded(done, refused), applied=applies)
    else:
        show_load(done, applies=applies)
    sys.exit(NO if done.counts.refused else 0)


def show_load(done: LoadProgress, *, applies: bool) -> None:
    """Print a load as text."""
    counts = msgspec.structs.asdict(done.counts)
    words = _WORDS if applies else _WORDS | {"written": "can be written, unless newer there"}
    print_table(["items", " count"], [[words[name], f"{n:,}"] for name, n in counts.items() if n])
    answers.print(
        f"{counted(done.counts.read, 'item')} of {printable(done.stream.partition('/')[0])} read"
    )
    if not applies and done.counts.written:
        answers.print(APPLY_HINT)


class Loaded(LoadCounts, frozen=True, kw_only=True):
    """What a load did, or would do: with how many items what.

    Attributes:
        source: the stream of the source that the consumer reads, `TABLE/stream/LABEL`.
        target: the table in Table Store, `INSTANCE/TABLE`.
        finished: whether all items were read.
        refused_items: the items that Table Store cannot hold.
        error: why the load ended early; null if it came to its end.
    """

    source: str
    target: str
    finished: bool
    refused_items: Sequence[RefusedItem]
    error: str | None


def _loaded(done: LoadProgress, refused: Refusals[RefusedItem], error: str | None = None) -> Loaded:
    return Loaded(
        **msgspec.structs.asdict(done.counts),
        source=done.stream,
        target=done.target,
        finished=done.is_done,
        refused_items=refused.listed,
        error=error,
    )
