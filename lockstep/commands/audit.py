"""`lockstep audit`: compare the table with the index, and repair differences."""

import datetime as dt
import math
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NoReturn

import click
import msgspec

from lockstep.audit.ahead import AheadKind
from lockstep.audit.audit import WATERMARK, Audit
from lockstep.audit.recheck import Difference
from lockstep.audit.report import as_line
from lockstep.commands.answering import Answering, answer_options
from lockstep.commands.answering import run as answer
from lockstep.commands.answering import show as show_answer
from lockstep.commands.audit_files import (
    DIFFERENT_FILES,
    KeptDifferences,
    is_same,
    report_options,
    tell_of,
)
from lockstep.commands.chosen_stack import changed_stack_options, connected
from lockstep.commands.files import opened
from lockstep.commands.losses import show_acknowledged, show_unread
from lockstep.commands.options import (
    APPLY_HINT,
    NumberRange,
    at_most_option,
    examples,
    is_said,
    json_option,
    past,
    rate_option,
    since_option,
)
from lockstep.commands.progress import counting
from lockstep.console.terminal import answers, notes, print_json, print_table
from lockstep.console.text import counted, printable
from lockstep.repair.repair import (
    DifferingImage,
    Example,
    Repaired,
    RepairPlan,
    check_limit,
)
from lockstep.reports.words import ACTIONS, AHEAD
from lockstep.stack.clients import Clients
from lockstep.stack.stack import command_for
from lockstep.stack.use_cases import audit as use_case
from lockstep.stack.use_cases.audit import AuditOptions, Processes
from lockstep.stream.losses import typed
from shared.rfc3339 import rfc3339

# Nobody reads more rows than this; `--json` has all.
ROWS = 20


class Repairing(msgspec.Struct, frozen=True, omit_defaults=True):
    """An audit, the plan of its repair and, with --apply, the result and another audit."""

    audit: Audit
    plan: RepairPlan | None = None
    repaired: Repaired | None = None
    after: Audit | None = None

    @property
    def exit_code(self) -> int:
        """The exit code of the last audit."""
        return (self.after or self.audit).exit_code


def _changes(given: Mapping[str, Any]) -> bool:
    return given["acknowledge"] is not None or bool(given["repair"] and given["applies"])


@click.command(
    "audit",
    epilog=examples(
        "lockstep audit",
        "lockstep audit --stack lockstep --values --report differences.ndjson",
        "lockstep audit --stack lockstep --processes 8",
        "lockstep audit --sample 1000",
        "lockstep audit --repair --apply --at-most 5",
        "lockstep audit --repair --index-wins differences.ndjson",
        'lockstep audit --acknowledge 2026-11-21T08:00:00Z --reason "imported again"',
    ),
)
@changed_stack_options(when=_changes)
@json_option
@click.option(
    "--values", is_flag=True, help="Compare all fields, not only version, digest and deletion."
)
@report_options
@click.option(
    "--sample",
    type=click.IntRange(1, 10_000),
    metavar="N",
    help="Compare only N random images of each store.",
)
@since_option("Compare only images that arrived since TIME: 7d, 12h, or a time (UTC).")
@rate_option
@click.option(
    "--processes",
    type=click.IntRange(1, 64),
    metavar="N",
    help="Read both stores in N processes of this machine.",
)
@click.option(
    "--segments",
    type=click.IntRange(1, 1_024),
    metavar="M",
    help="With --processes: read each store in M segments; by default, in N.",
)
@click.option(
    "--within",
    type=NumberRange(min=0),
    metavar="SECONDS",
    default=math.inf,
    help="Stop after this time, with exit code 2.",
)
@click.option(
    "--watermark",
    type=NumberRange(min=0),
    metavar="SECONDS",
    default=WATERMARK,
    show_default=True,
    help="Wait at most this long for a consumer that has not caught up.",
)
@click.option(
    "--acknowledge",
    metavar="TIME",
    callback=past,
    help="Acknowledge the losses since TIME, which status prints. Runs no audit.",
)
@click.option("--reason", metavar="TEXT", help="With --acknowledge: what you did about the losses.")
@click.option("--repair", is_flag=True, help="Show how to repair the differences.")
@click.option("--apply", "applies", is_flag=True, help="With --repair: make the changes.")
@at_most_option("With --repair --apply: write nothing if it would write more than this share.")
@answer_options
def audit_command(
    name: str | None,
    state: Path,
    *,
    values: bool,
    report_file: Path | None,
    html_file: Path | None,
    sample: int | None,
    since: dt.datetime | None,
    rate: float | None,
    processes: int | None,
    segments: int | None,
    within: float,
    watermark: float,
    acknowledge: dt.datetime | None,
    reason: str | None,
    repair: bool,
    applies: bool,
    at_most: float,
    index_wins: Path | None,
    table_wins: Path | None,
    kinds: frozenset[AheadKind],
    as_json: bool,
) -> None:
    """Compare the table with the index; repair differences.

    The audit works while events arrive: it reports a difference only if both consumers have
    processed all events of the image. --repair writes the table's content to the index, where the
    table has the same or a newer version. What the index is ahead with stays, and is counted by
    kind. --index-wins and --table-wins are your answer to it: they act on the images of a report,
    if both entries still are as it says. See docs/guides/restore.md.

    Exit code 0: equal; 1: different, or the index or an alias is wrong; 2: unknown.
    """
    if acknowledge is not None or reason is not None:
        show_acknowledged(name, state, acknowledge, reason, as_json=as_json)
        return
    answer_file = index_wins or table_wins
    for wrong, why in (
        (applies and not repair, "--apply requires --repair"),
        (repair and sample is not None, "--repair needs a complete audit: remove --sample"),
        (segments and not processes, "--segments requires --processes"),
        (processes and sample is not None, "a sample is read in one process: remove --processes"),
        (not repair and is_said("at_most"), "--at-most requires --repair"),
        (index_wins and table_wins, "give --index-wins or --table-wins, not both"),
        (answer_file and not repair, "--index-wins and --table-wins require --repair"),
        (
            answer_file and report_file,
            "remove --report: an answer reads a report that an audit wrote",
        ),
        (answer_file and html_file, "remove --html: it reports an audit, not an answer"),
        (is_same(html_file, report_file), DIFFERENT_FILES),
        (is_said("kinds") and not answer_file, "--kind requires --index-wins or --table-wins"),
    ):
        if wrong:
            raise click.UsageError(why)
    clients = connected(name, state)
    report = opened(report_file) if report_file else None
    options = AuditOptions(
        values=values,
        since=since,
        rate=rate,
        within=within,
        watermark=watermark,
        processes=Processes(processes, segments or processes) if processes else None,
    )
    if answer_file is not None:
        answering = answer(
            clients,
            "table" if index_wins is None else "index",
            answer_file,
            kinds,
            at_most=at_most if applies else None,
            audit_again=lambda: audited(clients, lambda _: None, options),
        )
        _end(
            answering,
            lambda: show_answered(answering, name, state),
            as_json=as_json,
            applied=applies,
        )
    with ExitStack() as ended:
        page = None
        if html_file is not None:
            from lockstep.commands.html_report import LOCAL, html_report  # noqa: PLC0415 - Jinja2
            from lockstep.stack.use_cases.audit_report import ImageReport  # noqa: PLC0415

            report_of_audit = ImageReport(clients, name or LOCAL, values=values, since=since)
            page = ended.enter_context(html_report(html_file, report_of_audit))
        differences = KeptDifferences(
            ended.enter_context(tempfile.TemporaryFile()),
            report,
            page.add if page else None,
            line=as_line,
            read_as=DifferingImage,
        )
        if sample is not None:
            found = use_case.sample(clients, sample, differences.add, options)
        else:
            found = audited(clients, differences.add, options)
        tell_of(report_file, counted(differences.count, "difference"))
        plan = planned(clients, found, differences) if repair or page else None
        if page is not None:
            page.write(found, plan, list(ways_out(found, plan, name, state)))
        tell_of(html_file, "the report for people")
        if repair:
            repairing = repaired(
                clients,
                found,
                plan,
                differences,
                options,
                at_most=at_most if applies else None,
                beyond=lambda plan: beyond_the_limit(plan, name, state),
            )
            if page is not None and repairing.repaired and repairing.after:
                after = repairing.after
                page.write_repaired(
                    repairing.repaired, after, list(ways_out(after, None, name, state))
                )
            _end(
                repairing,
                lambda: show_repair(repairing, name, state),
                as_json=as_json,
                applied=applies,
            )
    _end(found, lambda: show_audited(found, name, state), as_json=as_json, applied=False)


def _end(
    found: Audit | Repairing | Answering, show: Callable[[], None], *, as_json: bool, applied: bool
) -> NoReturn:
    """Print the result, and end with its exit code."""
    if as_json:
        print_json(found, applied=applied)
    else:
        show()
    sys.exit(found.exit_code)


def audited(
    clients: Clients, on_difference: Callable[[Difference], None], options: AuditOptions
) -> Audit:
    """Run an audit and show its progress on a terminal."""
    # The sizes cost a request to each store: ask only for a progress bar.
    sizes = use_case.sizes(clients) if notes.is_terminal else {}
    with counting("reading the {task.description}") as progress:
        tasks = {
            store: progress.add_task(store, total=total, start=False)
            for store, total in sizes.items()
        }

        def on_progress(store: str, count: int) -> None:
            if store in tasks:
                progress.start_task(tasks[store])
                # May pass the total: on AWS, the size of a table is some hours old.
                progress.update(tasks[store], completed=count)

        return use_case.audit(clients, on_progress, on_difference, options)


def planned(
    clients: Clients, found: Audit, differences: Iterable[DifferingImage]
) -> RepairPlan | None:
    """What a repair would do; None if nothing is proved to differ."""
    if found.result != "different":
        return None
    images = found.sample.images if found.sample else max(found.table, found.index)
    with notes.status("planning the repair"):
        return use_case.repair(clients).plan(differences, images=images)


def repaired(
    clients: Clients,
    found: Audit,
    plan: RepairPlan | None,
    differences: Iterable[DifferingImage],
    options: AuditOptions,
    *,
    at_most: float | None,
    beyond: Callable[[RepairPlan], str],
) -> Repairing:
    """Make a planned repair where `at_most` is given.

    `beyond` says what is better than a higher limit.
    """
    if plan is None or at_most is None or not plan.changes:
        return Repairing(found, plan)
    check_limit(plan, at_most, beyond(plan))
    with notes.status("repairing") as line:
        done = use_case.repair(clients).apply(
            differences, lambda count: line.update(f"repairing: {count:,}")
        )
    after = audited(clients, lambda _: None, options)
    return Repairing(found, plan, done, after)


def beyond_the_limit(plan: RepairPlan, name: str | None, state: Path) -> str:
    """What is better than a higher limit, where many versions of the index have moved."""
    if not plan.moved:
        return ""
    rebuild = command_for("rebuild", name, state)
    return f"{plan.moved:,} have a moved _version: {rebuild} sets it without hiding images. "


def show_answered(found: Answering, name: str | None, state: Path) -> None:
    """Print an answer as text."""
    show_answer(found)
    if found.after is not None:
        show_audited(found.after, name, state)


def show_audited(found: Audit, name: str | None, state: Path) -> None:
    """Print an audit as text, and what can be done."""
    show_audit(found, name, state)
    show_ways_out(found, name, state)


def show_audit(found: Audit, name: str | None, state: Path) -> None:
    """Print an audit as text."""
    print_table(
        ["store", " entries"], [["table", f"{found.table:,}"], ["index", f"{found.index:,}"]]
    )
    if found.differences:
        counts = [[kind, f"{count:,}"] for kind, count in found.differences.items()]
        print_table(["difference", " images"], counts)
    if found.ahead:
        counts = [[AHEAD[kind], f"{count:,}"] for kind, count in found.ahead.items()]
        print_table(["the index is ahead with", " images"], counts)
    if found.reason:
        answers.print(printable(found.reason))
    if found.sample:
        answers.print(
            f"{counted(found.sample.images, 'image')} compared: at most "
            f"{found.sample.at_most:.2%} of all images differ "
            f"({found.sample.confidence:.0%} confidence)"
        )
    for one in found.wrong:
        answers.print(printable(f"wrong: {one}"))
    for warning in found.warnings:
        notes.print(f"warning: {printable(warning)}")
    if found.discarded:
        answers.print(f"batches that were discarded: {found.discarded:,}")
    show_unread(found.losses, found.stopped, lambda command: command_for(command, name, state))
    since = ""
    if found.result == "unknown" and found.complete:
        since = f" since {typed(found.unknown_since)}"
    answers.print(f"audit: {found.result}{since} ({found.seconds:.1f} s)")


def show_ways_out(found: Audit, name: str | None, state: Path) -> None:
    """Print what can be done about a wrong index, and about what the index is ahead with."""
    for line in ways_out(found, None, name, state):
        answers.print(line)


def ways_out(found: Audit, plan: RepairPlan | None, name: str | None, state: Path) -> Iterator[str]:
    """What can be done after an audit, one line each.

    Args:
        found: the audit.
        plan: a repair that can be applied.
        name: the deployed stack; None: the local one.
        state: the folder of the local stack.
    """
    if plan is not None and plan.changes:
        yield f"{command_for('audit --repair --apply', name, state)} makes the repair"
    if found.wrong:
        yield f"wrong: {command_for('rebuild', name, state)} shows how to correct it"
    if found.ahead:
        yield "a repair leaves what the index is ahead with (docs/guides/restore.md)"
    if "explained" in found.ahead:
        redrive = command_for("redrive", name, state)
        yield f"explained: {redrive} puts their records back"
    if found.replay_since is not None:
        since = rfc3339(found.replay_since, "milliseconds")
        replay = command_for(f"replay --since {since}", name, state)
        yield "first read the stream again, then audit again:"
        yield replay
    if found.ahead and found.restored is not None:
        yield f"the table was restored to {rfc3339(found.restored.to, 'seconds')}"


def show_repair(answer: Repairing, name: str | None, state: Path) -> None:
    """Print a repair as text."""
    show_audit(answer.audit, name, state)
    if answer.plan is None:
        show_ways_out(answer.audit, name, state)
        return
    show_plan(answer.plan, applies=answer.repaired is not None)
    if answer.repaired is not None:
        show_repaired(answer.repaired)
    if answer.after is not None:
        show_audit(answer.after, name, state)
    show_ways_out(answer.after or answer.audit, name, state)


def show_plan(plan: RepairPlan, *, applies: bool) -> None:
    """Print the plan of a repair as text."""
    print_table(
        ["difference", "repair", " images"],
        [[row.kind, ACTIONS[row.action], f"{row.images:,}"] for row in plan.planned],
    )
    for row in plan.planned:
        answers.print(f"for example, {row.kind}: {_shown(row.examples[0])}")
    if plan.changes and not applies:
        answers.print(
            f"{counted(plan.changes, 'image')} would be written "
            f"({plan.percent:.3g} % of all); {APPLY_HINT}"
        )


def show_repaired(done: Repaired) -> None:
    """Print what a repair did, and what it did not."""
    for what, images in (("decide by hand", done.undecided), ("not repaired", done.not_repaired)):
        for one in images[:ROWS]:
            answers.print(f"{what}: {_shown(one)}")
        if len(images) > ROWS:
            answers.print(f"{what}: {len(images) - ROWS:,} more (`--json` lists all)")
    written = sum(done.written.values())
    answers.print(f"{counted(written, 'image')} written, in {counted(done.passes, 'pass', 'es')}")


def _shown(example: Example) -> str:
    return printable(f"{example.image_id}: {example.detail}")
