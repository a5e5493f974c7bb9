"""`lockstep redrive`: put quarantined records back onto the stream."""

import datetime as dt
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, Literal

import click
import msgspec

from lockstep.commands.cases import (
    ListedCase,
    ListedCases,
    listed,
    listed_case,
    show_cases,
    show_rest,
)
from lockstep.commands.chosen_stack import applies, changed_stack_options, connected
from lockstep.commands.endings import NO
from lockstep.commands.options import APPLY_HINT, NumberRange, apply_option, examples, json_option
from lockstep.commands.quarantine_options import (
    find,
    no_empty_id,
    pointers_option,
    wanted_options,
)
from lockstep.console.terminal import answers, notes, print_json
from lockstep.console.text import counted, printable
from lockstep.console.times import moment
from lockstep.quarantine.cases import FoundCases, Ready, Wanted
from lockstep.quarantine.records import event_bytes
from lockstep.quarantine.redrive import RedriveReport
from lockstep.quarantine.settlement import (
    CannotSettleError,
    How,
    Settlement,
    choose,
    correct,
    read_correction,
)
from lockstep.source_files.records import lines
from lockstep.stack.use_cases.quarantine import CaseError, StackQuarantine
from lockstep.stores.contents import MalformedContentError
from shared.event import Event

# Why a record stayed, and what to do.
KEPT = {
    "wait": "its version is more than a day ahead (wait)",
    "choose": "choose its content (--choose this ID, or --choose stored ID)",
    "correct": "it needs a correction (--mend FILE)",
    "too_old": "it is too old to be redriven unchanged (--choose or --mend FILE)",
    "conflict": "the index has other content at its version (--choose stored ID)",
    "refused_by_store": "the index refuses it (--choose stored ID)",
    "not_for_now": "the index does not answer (run the command again)",
    "changed_meanwhile": "changed meanwhile (run the command again)",
}


class Redriven(ListedCases, frozen=True):
    """The records that were selected; `ready` of them can be redriven unchanged.

    `report` is what the redrive did; null without `--apply`.
    """

    ready: int
    report: RedriveReport | None


class ListedSettlement(msgspec.Struct, frozen=True):
    """How one record is settled.

    Attributes:
        case: the record.
        how: by which rule.
        event: what is put onto the stream; null if no event is needed.
        note: the result, as a text for a person.
        first_arrived_at: when the event first arrived; null if it is a new event.
        gives_index: the image whose content in the table the index gets; null if none.
    """

    case: ListedCase
    how: How
    event: Event | None
    note: str
    first_arrived_at: dt.datetime | None
    gives_index: str | None


class SettledCases(msgspec.Struct, frozen=True):
    """Answers of an operator (`--choose`, `--mend`), and why others are impossible (`problems`).

    `report` is what was done; null without `--apply`.
    """

    settled: Sequence[ListedSettlement]
    problems: Sequence[str]
    report: RedriveReport | None


@click.command(
    "redrive",
    epilog=examples(
        "lockstep redrive",
        "lockstep redrive --apply --reason refused_by_store",
        "lockstep redrive --apply --choose stored 3f2a91",
        "lockstep redrive --apply --mend corrected.ndjson",
    ),
)
@click.argument("ids", nargs=-1, metavar="[ID]...", callback=no_empty_id)
@changed_stack_options(when=applies)
@json_option
@apply_option
@click.option(
    "--rate",
    type=NumberRange(min=0, min_open=True),
    metavar="RECORDS",
    help="Put at most this many records per second.",
)
@wanted_options
@pointers_option
@click.option(
    "--mend",
    "mending",
    type=click.File("rb"),
    metavar="FILE",
    help='Put the corrected events in FILE, one per line: {"id": "ID", "event": {...}}.',
)
@click.option(
    "--stamp",
    is_flag=True,
    help="With --mend: an event gets a stamp as its version if its old version cannot be read and "
    "nothing is stored of its image. Only for sources that do not count versions.",
)
@click.option(
    "--choose",
    "chosen",
    type=click.Choice(["this", "stored"]),
    help="Settle conflicts, outrun records and records that are too old: keep the quarantined "
    "content (this) or the stored one. `stored` also settles what only the index's consumer has "
    "quarantined: the index gets the table's content.",
)
def redrive_command(
    ids: tuple[str, ...],
    name: str | None,
    state: Path,
    *,
    rate: float | None,
    reason: str | None,
    image: str | None,
    since: dt.datetime | None,
    pointers: BinaryIO | None,
    mending: BinaryIO | None,
    stamp: bool,
    chosen: Literal["this", "stored"] | None,
    applies: bool,
    as_json: bool,
) -> None:
    """Put quarantined records back onto the stream.

    Without IDs, the command redrives all records with the action "redrive". The version check of
    both stores applies, so a redrive never overwrites a newer version. What only the consumer of
    the index has quarantined goes to the index alone, never onto the stream.

    Exit code 1: a record with a given ID, or a line of the --mend file, could not be redriven.
    """
    if chosen and not ids:
        raise click.UsageError("--choose requires the IDs of the records")
    if chosen and mending:
        raise click.UsageError("use --choose or --mend, not both")
    if stamp and not mending:
        raise click.UsageError("--stamp requires --mend")
    clients = connected(name, state)
    clients.stack.check_horizon()
    quarantine = StackQuarantine(clients)
    wanted = Wanted(ids=() if mending else ids, reason=reason, image=image, since=since)
    found = find(quarantine, wanted, pointers)
    for case_id in ids:
        quarantine.one(case_id, found)
    if chosen or mending:
        settlements, problems = _settlements(quarantine, found, ids, chosen, mending, stamp=stamp)
        report = quarantine.redrive.settle(settlements, found.fetched) if applies else None
        if as_json:
            done = SettledCases([listed_settlement(one) for one in settlements], problems, report)
            print_json(done, applied=applies)
        else:
            show_settlements(settlements, problems)
            show_report(report, len(settlements))
        sys.exit(NO if problems or (report and report.kept) else 0)
    ready = [case for case in found.cases if isinstance(case.verdict, Ready)]
    if not applies:
        if as_json:
            print_json(_redriven(found, len(ready), None), applied=False)
        else:
            show_cases(found.cases)
            show_rest(found)
            show_report(None, len(ready))
        sys.exit(NO if ids and len(ready) < len(found.cases) else 0)
    with notes.status("redriving") as line:
        report = quarantine.redrive.put_back(
            found.cases,
            found.fetched,
            rate=rate,
            on_progress=lambda done: line.update(f"redriving: {done:,} of {len(ready):,}"),
        )
    if as_json:
        print_json(_redriven(found, len(ready), report), applied=True)
    else:
        show_rest(found)
        show_report(report, len(ready))
    sys.exit(NO if ids and report.kept else 0)


def _redriven(found: FoundCases, ready: int, report: RedriveReport | None) -> Redriven:
    cases = listed(found)
    return Redriven(cases.cases, cases.unreadable, cases.gone, ready, report)


def listed_settlement(one: Settlement) -> ListedSettlement:
    """A settlement, for programs."""
    return ListedSettlement(
        case=listed_case(one.case),
        how=one.how,
        event=one.event,
        note=one.note,
        first_arrived_at=None if one.first_arrival is None else moment(one.first_arrival),
        gives_index=one.gives_index,
    )


def _settlements(
    quarantine: StackQuarantine,
    found: FoundCases,
    ids: Sequence[str],
    chosen: Literal["this", "stored"] | None,
    mending: BinaryIO | None,
    *,
    stamp: bool,
) -> tuple[list[Settlement], list[str]]:
    """The settlement of each choice or corrected event, and the problems of the others."""
    settlements, problems = [], []
    for where, settle in _orders(quarantine, found, ids, chosen, mending, stamp=stamp):
        try:
            settlements.append(settle())
        except (CannotSettleError, MalformedContentError, CaseError) as error:
            problems.append(f"{where}{error}")
    return settlements, problems


def _orders(
    quarantine: StackQuarantine,
    found: FoundCases,
    ids: Sequence[str],
    chosen: Literal["this", "stored"] | None,
    mending: BinaryIO | None,
    *,
    stamp: bool,
) -> Iterator[tuple[str, Callable[[], Settlement]]]:
    if chosen is not None:
        what = chosen
        for case_id in ids:

            def settle(case_id: str = case_id) -> Settlement:
                case = quarantine.one(case_id, found)
                data = event_bytes(quarantine.record(case, found))
                return choose(what, case, data, quarantine.stores, now=quarantine.clock.now())

            yield "", settle
    for number, line in enumerate(lines(mending) if mending else (), start=1):
        if not line.strip():
            continue

        def settle_line(line: bytes = line) -> Settlement:
            said = read_correction(line)
            case = quarantine.one(said.id, found)
            data = event_bytes(quarantine.record(case, found))
            return correct(
                case,
                data,
                said.event,
                quarantine.stores,
                now=quarantine.clock.now(),
                stamp=stamp,
            )

        yield f"line {number}: ", settle_line


def show_report(report: RedriveReport | None, ready: int) -> None:
    """Print what a redrive did, or would do."""
    if report is None:
        answers.print(f"{ready:,} can be redriven" + (f"; {APPLY_HINT}" if ready else ""))
        return
    answers.print(
        f"{report.redriven:,} redriven, {counted(report.put, 'event')} put, "
        f"{counted(report.objects, 'object')} moved to redriven/, {report.seconds:.1f} s"
    )
    if report.indexed:
        answers.print(f"{report.indexed:,} written directly to the index")
    if report.settled_meanwhile:
        answers.print(f"{report.settled_meanwhile:,} settled by another redrive meanwhile")
    for word, count in report.kept.items():
        answers.print(f"{count:,} not redriven: {KEPT[word]}")


def show_settlements(settlements: Sequence[Settlement], problems: Sequence[str]) -> None:
    """Print the settlement of each choice or corrected event."""
    for one in settlements:
        answers.print(f"{one.case.id}  {printable(one.case.image)}  {printable(one.note)}")
    for problem in problems:
        notes.print(printable(problem))
