"""`lockstep quarantine discard`: give up quarantined records, with a reason."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO, Literal, assert_never

import click
import msgspec

from lockstep.audit.ahead import AheadKind
from lockstep.audit.compare import DifferenceKind
from lockstep.commands.cases import ListedCase, listed_case
from lockstep.commands.chosen_stack import applies, changed_stack_options, connected
from lockstep.commands.endings import NO
from lockstep.commands.options import APPLY_HINT, apply_option, examples, json_option
from lockstep.commands.quarantine_options import find, no_empty_id, pointers_option
from lockstep.console.terminal import answers, notes, print_json
from lockstep.console.text import counted, printable
from lockstep.quarantine.cases import Wanted
from lockstep.quarantine.discarding import DiscardReport
from lockstep.quarantine.forecast import (
    IsRepaired,
    NeedsAnswer,
    NeedsEvent,
    StaysEqual,
    StaysExplained,
    in_words,
)
from lockstep.stack.stack import command_for
from lockstep.stack.use_cases.discard import PlannedDiscard, person, plan
from lockstep.stack.use_cases.quarantine import StackQuarantine

AuditSays = Literal["equal", "explained", "ahead", "different", "malformed"]


class ListedDiscard(msgspec.Struct, frozen=True):
    """A record that is discarded, and what an audit then says of its image.

    Attributes:
        case: the record.
        audit: `equal`: both stores are equal. `explained`: only the index has the image, and
            another quarantined record explains that. `ahead`: the index is ahead, and an answer
            settles it. `different`: a repair writes the table's content to the index. `malformed`:
            the item in the table is.
        ahead: with what the index is ahead; null if it is not.
        difference: how the stores differ; null if that is not repaired.
    """

    case: ListedCase
    audit: AuditSays
    ahead: AheadKind | None = None
    difference: DifferenceKind | None = None


class DiscardedCases(msgspec.Struct, frozen=True):
    """The records to discard. `report` is what was done; null without `--apply`."""

    planned: Sequence[ListedDiscard]
    report: DiscardReport | None


# A reason is a sentence or two: a text longer than this is given by mistake.
_LONGEST_REASON = 1_000


def _reason(_: click.Context, __: click.Parameter, text: str) -> str:
    if not text.strip():
        raise click.BadParameter("write why the records are not needed")
    if len(text) > _LONGEST_REASON:
        raise click.BadParameter(f"{len(text):,} characters, at most {_LONGEST_REASON:,}")
    return text


@click.command(
    "discard",
    epilog=examples(
        'lockstep quarantine discard 3f2a91 --reason "the source has deleted it"',
        'lockstep quarantine discard 3f2a91 8c01d7 --reason "test data" --apply',
    ),
)
@click.argument("ids", nargs=-1, required=True, metavar="ID...", callback=no_empty_id)
@click.option(
    "--reason",
    required=True,
    metavar="TEXT",
    callback=_reason,
    help="Why the records are not needed. It is kept with them.",
)
@changed_stack_options(when=applies)
@json_option
@apply_option
@pointers_option
def discard_command(
    ids: tuple[str, ...],
    name: str | None,
    state: Path,
    *,
    reason: str,
    pointers: BinaryIO | None,
    applies: bool,
    as_json: bool,
) -> None:
    """Give up quarantined records: their events reach no store.

    First the command says what an audit and a repair then do. Each record moves to discarded/ in
    the bucket, with the reason and your name. It explains no difference any more, and a redrive and
    a replay count it as settled. See docs/guides/quarantine.md.

    Exit code 1: a record was not discarded.
    """
    clients = connected(name, state)
    quarantine = StackQuarantine(clients)
    found = find(quarantine, Wanted(), pointers)
    cases = list({case.id: case for case in (quarantine.one(one, found) for one in ids)}.values())
    planned = plan(clients, cases, found)
    if not as_json:
        show_plan(planned, name, state)
    report = None
    if applies:
        report = quarantine.discarder.discard(
            cases, found.fetched, reason=reason, by=person(clients)
        )
    if as_json:
        print_json(DiscardedCases([*map(listed_discard, planned)], report), applied=applies)
    else:
        show_report(report, len(cases))
    sys.exit(NO if report is not None and report.discarded < len(cases) else 0)


def listed_discard(one: PlannedDiscard) -> ListedDiscard:
    """A record that is discarded, for programs."""
    case = listed_case(one.case)
    match one.then:
        case StaysEqual():
            return ListedDiscard(case, "equal")
        case StaysExplained():
            return ListedDiscard(case, "explained")
        case NeedsAnswer(kind):
            return ListedDiscard(case, "ahead", ahead=kind)
        case IsRepaired(kind):
            return ListedDiscard(case, "different", difference=kind)
        case NeedsEvent():
            return ListedDiscard(case, "malformed")
        case _:
            assert_never(one.then)


def show_plan(planned: Sequence[PlannedDiscard], name: str | None, state: Path) -> None:
    """Print what is given up, and what an audit and a repair do then."""
    for one in planned:
        case = one.case
        version = "" if case.version is None else f", version {case.version}"
        what = f"{', '.join(case.reasons)}{version}: {in_words(one.then)}"
        answers.print(f"{case.id}  {printable(case.image)}  {printable(what)}")
    if any(isinstance(one.then, NeedsAnswer) for one in planned):
        audit = command_for("audit --values --report FILE", name, state)
        answers.print(f"for your answer, first write a report: {audit}")


def show_report(report: DiscardReport | None, count: int) -> None:
    """Print what was discarded, or would be."""
    if report is None:
        answers.print(f"{counted(count, 'record')} would be discarded; {APPLY_HINT}")
        return
    answers.print(
        f"{report.discarded:,} discarded, {counted(report.objects, 'object')} moved to discarded/, "
        f"{report.seconds:.1f} s"
    )
    if report.moved_meanwhile:
        notes.print(f"{report.moved_meanwhile:,} settled by somebody else meanwhile")
    if report.changed_meanwhile:
        notes.print(f"{report.changed_meanwhile:,} changed meanwhile (run the command again)")
