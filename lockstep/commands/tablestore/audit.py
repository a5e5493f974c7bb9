"""`lockstep tablestore audit`: compare a DynamoDB table with its replica, and repair that."""

import math
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click
import msgspec

from lockstep.audit.audit import WATERMARK
from lockstep.commands.audit_files import (
    DIFFERENT_FILES,
    KeptDifferences,
    is_same,
    report_options,
    tell_of,
)
from lockstep.commands.chosen_stack import applies as applying
from lockstep.commands.chosen_stack import changed_stack_options
from lockstep.commands.endings import NO
from lockstep.commands.files import opened
from lockstep.commands.losses import show_unread
from lockstep.commands.options import (
    APPLY_HINT,
    NumberRange,
    at_most_option,
    examples,
    is_said,
    json_option,
    rate_option,
)
from lockstep.commands.tablestore.target import replica_of
from lockstep.console.terminal import answers, notes, print_json, print_table
from lockstep.console.text import counted, printable
from lockstep.repair.repair import check_limit
from lockstep.reports.row_words import ROW_ACTIONS
from lockstep.stack.clients import Clients, ReplicaClients
from lockstep.stack.replica import ReplicaStack, row_repair
from lockstep.stack.stack import command_for
from lockstep.stack.use_cases.replica_audit import (
    DEPLOYED_WATERMARK,
    ReplicaAuditOptions,
    replica_audit,
)
from lockstep.stream.losses import typed
from lockstep.tablestore import repairing
from lockstep.tablestore.audit import ReplicaAudit, RowDifference
from lockstep.tablestore.repairing import RepairedRows, RowPlan


class ReplicaRepairing(msgspec.Struct, frozen=True, omit_defaults=True):
    """An audit, the plan of its repair and, with --apply, the result and another audit."""

    audit: ReplicaAudit
    plan: RowPlan | None = None
    repaired: RepairedRows | None = None
    after: ReplicaAudit | None = None

    @property
    def exit_code(self) -> int:
        """The exit code of the last audit; 1 if the repair did not come to its end."""
        if self.repaired is not None and self.repaired.error is not None:
            return NO
        return (self.after or self.audit).exit_code


@click.command(
    "audit",
    epilog=examples(
        "lockstep tablestore audit --stack orders",
        "lockstep tablestore audit --stack orders --report differences.ndjson",
        "lockstep tablestore audit --stack orders --repair --apply --at-most 5",
    ),
)
@changed_stack_options(when=applying)
@json_option
@click.option(
    "--values", is_flag=True, help="Compare all columns, not only keys, removals and versions."
)
@report_options
@rate_option
@click.option(
    "--row-rate",
    type=NumberRange(min=1),
    metavar="ROWS",
    help="Read at most this many rows per second from Table Store.",
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
    help="Wait at most this long for the consumer. Default: "
    f"{WATERMARK:g}, or {DEPLOYED_WATERMARK:g} on AWS, which shows its progress minutes later.",
)
@click.option("--repair", is_flag=True, help="Show how to repair the differences.")
@click.option("--apply", "applies", is_flag=True, help="With --repair: make the changes.")
@at_most_option("With --repair --apply: change nothing if it would change more than this share.")
def audit_command(
    name: str | None,
    state: Path,
    *,
    values: bool,
    report_file: Path | None,
    html_file: Path | None,
    rate: float | None,
    row_rate: float | None,
    within: float,
    watermark: float | None,
    repair: bool,
    applies: bool,
    at_most: float,
    as_json: bool,
) -> None:
    """Compare the table with its replica; repair the replica.

    NAME is the stack that was deployed from template-tablestore.yaml.

    The audit works while the table changes: it reports a difference only if the consumer has
    processed all changes of the item. --repair makes each differing row what its item is then, and
    keeps its version, so later changes win. It never changes the DynamoDB table.

    Exit code 0: equal; 1: different; 2: unknown.
    """
    for wrong, why in (
        (applies and not repair, "--apply requires --repair"),
        (not repair and is_said("at_most"), "--at-most requires --repair"),
        (is_same(html_file, report_file), DIFFERENT_FILES),
    ):
        if wrong:
            raise click.UsageError(why)
    clients, replica = replica_of(name, state, connections=1)
    report = opened(report_file) if report_file else None
    options = ReplicaAuditOptions(
        values=values, rate=rate, row_rate=row_rate, within=within, watermark=watermark
    )
    with ExitStack() as ended:
        page = None
        if html_file is not None:
            from lockstep.commands.html_report import LOCAL, html_report  # noqa: PLC0415 - Jinja2
            from lockstep.stack.use_cases.replica_report import ReplicaReport  # noqa: PLC0415

            report_of_audit = ReplicaReport(clients, replica, name or LOCAL, values=values)
            page = ended.enter_context(html_report(html_file, report_of_audit))
        differences = KeptDifferences(
            ended.enter_context(tempfile.TemporaryFile()),
            report,
            page.add if page else None,
            line=lambda found: found,
            read_as=RowDifference,
        )
        audit = _audited(clients, replica, options, differences.add)
        plan = None
        if (repair or page) and audit.result == "different":
            plan = repairing.planned(differences, audit.rows)
        if page is not None:
            page.write(audit, plan, list(_ways_out(audit, plan, name, state)))
        tell_of(html_file, "the report for people")
        found = ReplicaRepairing(audit)
        if repair:
            found = _repaired(
                clients,
                replica,
                ReplicaRepairing(audit, plan),
                differences,
                options,
                at_most=at_most if applies else None,
            )
        if page is not None and found.repaired and found.after:
            page.write_repaired(
                found.repaired, found.after, list(_ways_out(found.after, None, name, state))
            )
    if as_json:
        print_json(found if repair else found.audit, applied=applies)
    else:
        show(found)
    sys.exit(found.exit_code)


def _audited(
    clients: Clients | ReplicaClients,
    replica: ReplicaStack,
    options: ReplicaAuditOptions,
    on_difference: Callable[[RowDifference], None] = lambda _: None,
) -> ReplicaAudit:
    with notes.status("reading") as line:
        return replica_audit(
            clients,
            replica,
            options,
            progress=lambda store, count: line.update(f"reading the {store}: {count:,}"),
            on_difference=on_difference,
        )


def _repaired(
    clients: Clients | ReplicaClients,
    replica: ReplicaStack,
    found: ReplicaRepairing,
    differences: Iterable[RowDifference],
    options: ReplicaAuditOptions,
    *,
    at_most: float | None,
) -> ReplicaRepairing:
    """Make a planned repair where `at_most` is given."""
    plan = found.plan
    if plan is None or at_most is None or not plan.changes:
        return found
    check_limit(plan, at_most, of="rows")
    with notes.status("repairing") as line:
        done = repairing.apply(
            differences,
            row_repair(clients, replica),
            replica.settings.conversion,
            clients.clock,
            lambda count: line.update(f"repairing: {count:,}"),
        )
    return ReplicaRepairing(found.audit, plan, done, _audited(clients, replica, options))


def _ways_out(
    found: ReplicaAudit, plan: RowPlan | None, name: str | None, state: Path
) -> Iterator[str]:
    """What can be done after an audit, one line each."""
    if plan is not None and plan.changes:
        words = f"tablestore audit --repair --apply{' --values' if found.values else ''}"
        yield f"{command_for(words, name, state)} makes the repair"
    if "unconvertible" in found.differences:
        yield "correct the items that Table Store cannot hold, or the settings"
    if found.losses:
        yield f"{command_for('tablestore audit --values', name, state)} finds old values"


def show(found: ReplicaRepairing) -> None:
    """Print an audit and its repair as text."""
    _show_audit(found.audit)
    if found.plan is None:
        return
    print_table(
        ["difference", "repair", " rows"],
        [[one.kind, ROW_ACTIONS[one.action], f"{one.rows:,}"] for one in found.plan.planned],
    )
    for one in found.plan.planned:
        answers.print(f"for example, {one.kind}: {printable(one.example)}")
    if found.repaired is None:
        if found.plan.changes:
            answers.print(
                f"{counted(found.plan.changes, 'row')} would be changed "
                f"({found.plan.percent:.3g} % of all); {APPLY_HINT}"
            )
        return
    answers.print(
        f"{counted(found.repaired.changed, 'row')} repaired, {found.repaired.equal:,} equal "
        "meanwhile"
    )
    for row in found.repaired.not_repaired:
        answers.print(printable(f"not repaired: {row.key}: {row.detail}"))
    if found.repaired.error is not None:
        answers.print(printable(f"the repair did not end: {found.repaired.error}; run it again"))
    if found.after is not None:
        _show_audit(found.after)


def _show_audit(found: ReplicaAudit) -> None:
    print_table(
        ["store", " entries"],
        [["source", f"{found.source:,}"], ["replica", f"{found.replica:,}"]],
    )
    if found.differences:
        rows: list[list[Any]] = [[kind, f"{n:,}"] for kind, n in found.differences.items()]
        print_table(["difference", " rows"], rows)
    if found.reason:
        answers.print(printable(found.reason))
    for one in found.losses:
        answers.print(
            f"the stream removed changes from {typed(one.since)} to {typed(one.until)} before the "
            "consumer read them: audit with --values, which finds old values"
        )
    show_unread((), found.stopped, str)
    compared = "keys and values" if found.values else "keys"
    answers.print(f"audit of {compared}: {found.result} ({found.seconds:.1f} s)")
