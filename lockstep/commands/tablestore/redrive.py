"""`lockstep tablestore redrive`: repair the quarantined keys."""

import datetime as dt
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import click

from lockstep.commands.chosen_stack import applies, changed_stack_options
from lockstep.commands.endings import NO
from lockstep.commands.options import (
    APPLY_HINT,
    NumberRange,
    apply_option,
    examples,
    json_option,
)
from lockstep.commands.quarantine_options import (
    no_empty_id,
    reason_option,
    since_quarantined_option,
)
from lockstep.commands.tablestore.keys import (
    REASONS,
    ListedKeys,
    WouldWord,
    listed,
    show_keys,
    show_unreadable,
    word_of,
)
from lockstep.commands.tablestore.target import replica_of
from lockstep.console.terminal import answers, notes, print_json
from lockstep.console.text import counted, printable
from lockstep.stack.use_cases.replica_quarantine import ReplicaQuarantine, key_with_id
from lockstep.tablestore.key_states import in_words
from lockstep.tablestore.quarantined_keys import FoundKeys, WantedKeys
from lockstep.tablestore.redrive import KeptKey, KeyRedriveReport

# Nobody reads more than this; `--json` has all.
SHOWN = 20


class RedrivenKeys(ListedKeys, frozen=True):
    """The keys that were selected.

    Attributes:
        would: without `--apply`: with how many of them a redrive would do what.
        kept: the keys that stay quarantined, and why.
        report: what the redrive did; null without `--apply`.
    """

    would: Mapping[WouldWord, int]
    kept: Sequence[KeptKey]
    report: KeyRedriveReport | None


def _redriven(
    found: FoundKeys,
    would: Mapping[WouldWord, int],
    kept: Sequence[KeptKey],
    report: KeyRedriveReport | None,
) -> RedrivenKeys:
    keys = listed(found)
    return RedrivenKeys(keys.keys, keys.unreadable, would, kept, report)


@click.command(
    "redrive",
    epilog=examples(
        "lockstep tablestore redrive --stack orders",
        "lockstep tablestore redrive --stack orders --apply",
        "lockstep tablestore redrive --stack orders --apply 3f2a91",
    ),
)
@click.argument("ids", nargs=-1, metavar="[ID]...", callback=no_empty_id)
@changed_stack_options(when=applies)
@json_option
@apply_option
@click.option(
    "--rate",
    type=NumberRange(min=1),
    metavar="KEYS",
    help="Repair at most this many keys per second.",
)
@reason_option(REASONS)
@since_quarantined_option
def redrive_command(
    ids: tuple[str, ...],
    name: str | None,
    state: Path,
    *,
    rate: float | None,
    reason: str | None,
    since: dt.datetime | None,
    applies: bool,
    as_json: bool,
) -> None:
    """Repair the rows of the quarantined keys.

    NAME is the stack that was deployed from template-tablestore.yaml. Without IDs, all keys.

    Each row becomes what the DynamoDB table has now. What the quarantined records hold is not
    written. A record moves to redriven/ in the bucket when its key is settled. Correct the item in
    the DynamoDB table first if Table Store cannot hold it.

    Exit code 1: some keys stay quarantined.
    """
    clients, replica = replica_of(name, state, connections=1)
    quarantine = ReplicaQuarantine(clients, replica)
    with notes.status("reading the quarantine"):
        found = quarantine.find(WantedKeys(ids, reason, since))
    for one in ids:
        key_with_id(one, found)
    keys = found.keys
    if not applies:
        states = quarantine.states(keys)
        kept = [
            KeptKey(one.id, one.key, in_words(state.would))
            for one, state in zip(keys, states, strict=True)
            if word_of(state.would) in {"refused", "failed"}
        ]
        if as_json:
            would = Counter(word_of(state.would) for state in states)
            print_json(_redriven(found, would, kept, None), applied=False)
        else:
            show_keys(keys, clients.clock.now())
            show_unreadable(found)
            show_kept(kept)
            ready = len(keys) - len(kept)
            answers.print(
                f"{counted(ready, 'key')} can be redriven" + (f"; {APPLY_HINT}" if ready else "")
            )
        sys.exit(NO if kept else 0)
    with notes.status("redriving") as line:
        report = quarantine.redrive(rate).run(
            keys, lambda done: line.update(f"redriving: {done:,} of {len(keys):,} keys")
        )
    if as_json:
        print_json(_redriven(found, {}, report.kept, report), applied=True)
    else:
        show_unreadable(found)
        show_report(report)
    sys.exit(NO if report.kept else 0)


def show_kept(kept: list[KeptKey]) -> None:
    """Print the keys that stay, and why."""
    for one in kept[:SHOWN]:
        notes.print(printable(f"{one.id}  {one.key}: {one.detail}"))
    if len(kept) > SHOWN:
        notes.print(f"and {len(kept) - SHOWN:,} more keys (`--json` lists all)")


def show_report(report: KeyRedriveReport) -> None:
    """Print what a redrive did."""
    show_kept([*report.kept])
    answers.print(
        f"{counted(report.repaired, 'key')} repaired, {report.equal:,} equal already, "
        f"{len(report.kept):,} stay, {report.seconds:.1f} s"
    )
    answers.print(
        f"{counted(report.objects, 'object')} and {counted(report.documents, 'failure document')} "
        "moved to redriven/"
    )
    if report.split:
        answers.print(f"{counted(report.split, 'record')} of them got an object, because it stays")
