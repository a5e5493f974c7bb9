"""`lockstep audit`: whether both stores say the same, and the repair of what they do not."""

import datetime as dt
import math
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO, Any, BinaryIO

import click
import msgspec

from lockstep.audit.audit import WATERMARK, Audit, Found
from lockstep.commands.files import WRITTEN, opened
from lockstep.commands.options import (
    at_most_is_said,
    at_most_option,
    connected,
    json_option,
    rate_option,
    since_option,
    stack_options,
)
from lockstep.commands.progress import counting
from lockstep.console.terminal import answers, notes, print_json, print_table
from lockstep.console.text import printable
from lockstep.repair.repair import (
    Action,
    Differing,
    Example,
    Plan,
    Repaired,
    brake,
)
from lockstep.stack.clients import Clients
from lockstep.stack.use_cases import audit as use_case
from lockstep.stack.use_cases.audit import AuditOptions
from lockstep.stores.entry import Entry

# More than this nobody reads; programs get all of it.
ROWS = 20

_WORDS: dict[Action, str] = {
    "write_index": "the table's goes into the index",
    "write_table": "the index's goes into the table",
    "overwrite_index": "the table's overwrites the index's",
    "republish": "goes into both under a higher version",
    "leave_index": "leaves the index",
    "forget": "leaves the index, comes back from the table",
    "tell": "needs a person",
}


@click.command("audit")
@stack_options
@json_option
@click.option("--values", is_flag=True, help="Compare every field, not only version and digest.")
@click.option(
    "--report",
    "report_file",
    type=WRITTEN,
    metavar="FILE",
    help="Write each difference there (NDJSON).",
)
@click.option(
    "--sample",
    type=click.IntRange(1, 10_000),
    metavar="N",
    help="A quick look at N images of each store, by chance.",
)
@since_option("Only what arrived since; 7d, 12h, or a time (UTC).")
@rate_option
@click.option(
    "--within",
    type=click.FloatRange(min=0),
    metavar="SECONDS",
    default=math.inf,
    help="Give up after that; exit code 2.",
)
@click.option(
    "--watermark",
    type=click.FloatRange(min=0),
    metavar="SECONDS",
    default=WATERMARK,
    show_default=True,
    help="Wait so long for a consumer that is behind.",
)
@click.option("--repair", is_flag=True, help="Show what would be done about the differences.")
@click.option("--apply", "applies", is_flag=True, help="With --repair: do it.")
@at_most_option("With --repair: write nothing if more of all images would be written.")
def audit_command(
    name: str | None,
    state: Path,
    *,
    values: bool,
    report_file: Path | None,
    sample: int | None,
    since: dt.datetime | None,
    rate: float | None,
    within: float,
    watermark: float,
    repair: bool,
    applies: bool,
    at_most: float,
    as_json: bool,
) -> None:
    """Compare the table with the index; repair differences.

    Exit code 0: equal, 1: different, 2: unknown.
    """
    if applies and not repair:
        raise click.UsageError("--apply does what --repair shows: say both")
    if repair and sample is not None:
        raise click.UsageError("--sample looks at some images only: leave it out to --repair")
    if not repair and at_most_is_said():
        raise click.UsageError("--at-most is for what --repair shows: say both")
    clients = connected(name, state)
    report = opened(report_file) if report_file else None
    options = AuditOptions(
        values=values, since=since, rate=rate, within=within, watermark=watermark
    )
    with tempfile.TemporaryFile() as file:
        differences = Differences(file, report)
        if sample is not None:
            found = use_case.sample(clients, sample, differences.add, options)
        else:
            found = audited(clients, differences.add, options)
        if repair:
            answer = repaired(clients, found, differences, at_most if applies else None, options)
            if as_json:
                print_json(answer)
            else:
                show_repair(answer)
            sys.exit(answer.exit_code)
    if as_json:
        print_json(found)
    else:
        show_audit(found)
    sys.exit(found.exit_code)


class Differences:
    """What an audit found: in a file to be read again, and in one for the user."""

    def __init__(self, file: IO[bytes], report: BinaryIO | None) -> None:
        self._file = file
        self._report = report
        self._encoder = msgspec.json.Encoder()

    def add(self, found: Found) -> None:
        """Keep one."""
        line = self._encoder.encode(as_line(found)) + b"\n"
        self._file.write(line)
        if self._report is not None:
            self._report.write(line)

    def __iter__(self) -> Iterator[Differing]:
        """From the first one on."""
        self._file.seek(0)
        return map(msgspec.json.Decoder(Differing).decode, self._file)


def as_line(found: Found) -> dict[str, Any]:
    """A difference by names, without what an entry does not have."""
    whole = msgspec.structs.asdict(found)
    for store in ("table", "index"):
        entry: Entry | None = whole[store]
        if entry is not None:
            fields = msgspec.structs.asdict(entry)
            whole[store] = {name: value for name, value in fields.items() if value is not None}
    return whole


def audited(
    clients: Clients, on_difference: Callable[[Found], None], options: AuditOptions
) -> Audit:
    """A whole audit, with its progress on a terminal."""
    # How much there is, is asked for those who watch.
    sizes = use_case.sizes(clients) if notes.is_terminal else {}
    with counting("reading the {task.description}") as progress:
        tasks = {
            store: progress.add_task(store, total=total, start=False)
            for store, total in sizes.items()
        }

        def on_progress(store: str, count: int) -> None:
            if store in tasks:
                progress.start_task(tasks[store])
                # Beyond the total, too: on AWS a table's size is some hours old.
                progress.update(tasks[store], completed=count)

        return use_case.audit(clients, on_progress, on_difference, options)


class Repairing(msgspec.Struct, frozen=True, omit_defaults=True):
    """A repair: what the audit found, what is to be done, and, if it was, what came of it."""

    audit: Audit
    plan: Plan | None = None
    repaired: Repaired | None = None
    after: Audit | None = None

    @property
    def exit_code(self) -> int:
        """As of the last audit."""
        return (self.after or self.audit).exit_code


def repaired(
    clients: Clients,
    found: Audit,
    differences: Iterable[Differing],
    at_most: float | None,
    options: AuditOptions,
) -> Repairing:
    """What is to be done, and, where `at_most` is given, doing it."""
    if found.result != "different":
        return Repairing(found)
    repair = use_case.repair(clients)
    plan = repair.plan(differences, images=max(found.table, found.index))
    if at_most is None or not plan.changes:
        return Repairing(found, plan)
    brake(plan, at_most)
    with notes.status("repairing") as line:
        done = repair.apply(differences, lambda count: line.update(f"repairing: {count:,}"))
    after = audited(clients, lambda _: None, options)
    return Repairing(found, plan, done, after)


def show_audit(found: Audit) -> None:
    """An audit as a person reads it."""
    print_table(
        ["store", " entries"], [["table", f"{found.table:,}"], ["index", f"{found.index:,}"]]
    )
    if found.differences:
        counts = [[kind, f"{count:,}"] for kind, count in found.differences.items()]
        print_table(["difference", " images"], counts)
    if found.reason:
        answers.print(printable(found.reason))
    if found.sample:
        answers.print(
            f"{found.sample.images:,} images looked at: with {found.sample.confidence:.0%} "
            f"confidence at most {found.sample.at_most:.2%} of all differ"
        )
    answers.print(f"audit: {found.result} ({found.seconds:.1f} s)")


def show_repair(answer: Repairing) -> None:
    """A repair as a person reads it."""
    show_audit(answer.audit)
    if answer.plan is None:
        return
    print_table(
        ["difference", "what is to be done", " images", "for example"],
        [
            [row.kind, _WORDS[row.action], f"{row.images:,}", _shown(row.examples[0])]
            for row in answer.plan.planned
        ],
    )
    if answer.repaired is None:
        if answer.plan.changes:
            answers.print(
                f"{_counted(answer.plan.changes, 'image')} would be written "
                f"({answer.plan.percent:.3g} % of all): `--apply` does it"
            )
        return
    for what, examples in (
        ("needs a person", answer.repaired.told),
        ("not finished", answer.repaired.unfinished),
    ):
        for one in examples[:ROWS]:
            answers.print(f"{what}: {_shown(one)}")
        if len(examples) > ROWS:
            answers.print(f"{what}: {len(examples) - ROWS:,} more (`--json` shows all)")
    if answer.after is not None:
        written = sum(answer.repaired.written.values())
        passes = _counted(answer.repaired.passes, "pass", "es")
        answers.print(f"{written:,} written, in {passes}")
        show_audit(answer.after)


def _shown(example: Example) -> str:
    return printable(f"{example.image_id}: {example.detail}")


def _counted(count: int, word: str, plural: str = "s") -> str:
    return f"{count:,} {word}{'' if count == 1 else plural}"
