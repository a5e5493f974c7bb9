"""The answers of `lockstep audit --repair`: which store wins where the index is ahead."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import click
import msgspec

from lockstep.audit.ahead import AheadKind
from lockstep.audit.audit import Audit
from lockstep.audit.report import report_lines
from lockstep.commands.options import APPLY_HINT
from lockstep.console.terminal import answers, notes, print_table
from lockstep.console.text import counted, printable
from lockstep.repair.answers import Answered, AnswerPlan
from lockstep.repair.decide_answer import Winner
from lockstep.repair.repair import Example, check_limit
from lockstep.stack.clients import Clients
from lockstep.stack.use_cases import audit as use_case
from lockstep.stack.use_cases.audit import sizes

# Nobody reads more rows than this; `--json` has all.
ROWS = 20
KINDS: tuple[AheadKind, ...] = get_args(AheadKind)

_WORDS: dict[str, str] = {
    "write_table": "write to the table",
    "overwrite_table": "overwrite the item",
    "replace_document": "replace the document",
    "remove_document": "remove the document",
    "write_index": "write to the index",
    "leave": "leave",
}
_REPORT = click.Path(exists=True, dir_okay=False, path_type=Path)


def _kinds(_: click.Context, __: click.Parameter, text: str | None) -> frozenset[AheadKind]:
    if text is None:
        return frozenset({"image"})
    said = [one.strip() for one in text.split(",")]
    found = frozenset(kind for kind in KINDS if kind in said)
    unknown = [one for one in said if one not in KINDS]
    if unknown:
        raise click.BadParameter(f"{unknown[0]!r} is not one of {', '.join(KINDS)}")
    return found


def answer_options[F: Callable[..., Any]](command: F) -> F:
    """`--index-wins`, `--table-wins` and `--kind`."""
    for option in (
        click.option(
            "--kind",
            "kinds",
            metavar="KINDS",
            callback=_kinds,
            help=f"Answer these kinds, with commas: {', '.join(KINDS)}. Default: image.",
        ),
        click.option(
            "--table-wins",
            type=_REPORT,
            metavar="FILE",
            help="With --repair: the index gets what the table has, for the images of this report.",
        ),
        click.option(
            "--index-wins",
            type=_REPORT,
            metavar="FILE",
            help="With --repair: the table gets what the index has, for the images of this report.",
        ),
    ):
        command = option(command)
    return command


class Answering(msgspec.Struct, frozen=True, omit_defaults=True):
    """The plan of an answer and, with --apply, what was done and an audit after it."""

    plan: AnswerPlan
    answered: Answered | None = None
    after: Audit | None = None

    @property
    def exit_code(self) -> int:
        """That of the audit after it. Of a dry run: 0 if nothing of the report is left, else 1."""
        if self.after is not None:
            return self.after.exit_code
        return int(bool(self.plan.planned or self.plan.other_kinds))


def run(
    clients: Clients,
    winner: Winner,
    report: Path,
    kinds: frozenset[AheadKind],
    *,
    at_most: float | None,
    audit_again: Callable[[], Audit],
) -> Answering:
    """Plan an answer and, where `at_most` is given, make it."""
    answer = use_case.answers(clients, winner, kinds)
    with notes.status("comparing with the report"):
        plan = answer.plan(report_lines(report), images=max(sizes(clients).values()))
    if at_most is None or not plan.changes:
        return Answering(plan)
    check_limit(plan, at_most)
    with notes.status("answering") as line:
        done = answer.apply(
            report_lines(report), lambda count: line.update(f"answering: {count:,}")
        )
    return Answering(plan, done, audit_again())


def show(found: Answering) -> None:
    """Print an answer as text, without the audit after it."""
    plan = found.plan
    if plan.planned:
        print_table(
            ["the index is ahead with", f"{plan.winner} wins", " images"],
            [[row.ahead, _WORDS[row.action], f"{row.images:,}"] for row in plan.planned],
        )
    for row in plan.planned:
        answers.print(f"for example, {row.ahead}: {_shown(row.examples[0])}")
    if plan.settled:
        answers.print(f"equal by now: {plan.settled:,}")
    for kind, count in plan.other_kinds.items():
        answers.print(f"not answered: {count:,} {kind} (--kind {kind} answers them)")
    if found.answered is None:
        if plan.changes:
            answers.print(
                f"{counted(plan.changes, 'image')} would be changed "
                f"({plan.percent:.3g} % of all); {APPLY_HINT}"
            )
        else:
            answers.print("nothing to change")
        return
    show_answered(found.answered)


def show_answered(done: Answered) -> None:
    """Print what an answer did, and what it did not."""
    for what, images in (("left", done.left), ("not changed", done.not_changed)):
        for one in images[:ROWS]:
            answers.print(f"{what}: {_shown(one)}")
        if len(images) > ROWS:
            answers.print(f"{what}: {len(images) - ROWS:,} more (`--json` lists all)")
    if done.kept is not None:
        answers.print(f"replaced documents are kept in the bucket under {done.kept}")
    answers.print(f"{counted(sum(done.written.values()), 'image')} changed")


def _shown(example: Example) -> str:
    return printable(f"{example.image_id}: {example.detail}")
