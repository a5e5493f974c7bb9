"""`lockstep replay`: deliver records of the stream again, to both stores."""

import datetime as dt
import sys
from pathlib import Path

import click

from lockstep.commands.chosen_stack import applies, changed_stack_options, connected
from lockstep.commands.endings import NO
from lockstep.commands.options import (
    APPLY_HINT,
    NumberRange,
    apply_option,
    examples,
    json_option,
    since_option,
)
from lockstep.console.terminal import answers, notes, print_json, print_table
from lockstep.console.text import counted, printable
from lockstep.replay.replay import DEFAULT_RATE, Replay, Replayed, ReplayPlan, Span
from lockstep.stack.stack import command_for
from lockstep.stack.use_cases.replay import StackReplay
from shared.horizon import LONGEST_RETENTION

_FATES = ("Applied", "Duplicate", "Stale", "Quarantined")


@click.command(
    "replay",
    epilog=examples(
        "lockstep replay --since 12h",
        "lockstep replay --since 2026-11-21T08:00 --rate 500 --apply",
        "lockstep replay --resume 20261121-081500-123 --apply",
    ),
)
@changed_stack_options(when=applies)
@json_option
@since_option("Replay the records that arrived since TIME: 7d, 12h, or a time (UTC).")
@click.option(
    "--resume",
    metavar="ID",
    help="Continue a replay that was interrupted. A dry run with --since lists them.",
)
@click.option(
    "--rate",
    type=NumberRange(min=1),
    metavar="RECORDS",
    default=DEFAULT_RATE,
    show_default=True,
    help="Replay at most this many records per second.",
)
@apply_option
def replay_command(
    name: str | None,
    state: Path,
    *,
    since: dt.datetime | None,
    resume: str | None,
    rate: float,
    applies: bool,
    as_json: bool,
) -> None:
    """Deliver records of the stream again, to both stores.

    The replay reads the image stream from TIME up to its present end, and writes each record to
    the table and to the index, as the consumers do. What a store has already, or has newer, stays,
    so a replay is safe at any time, also while events arrive. Records that can never be applied go
    to quarantine, unless they were redriven before. A store that does not answer is asked until
    it does.

    A record over 30 days old is not read: the tombstone of a later deletion may have expired, so
    the record could bring a deleted image back.

    Exit code 0: all records since TIME are replayed; 1: some of that time is no longer in the
    stream, or over 30 days ago. Then repair the rest from the other store: lockstep audit
    shows how.
    """
    if (since is None) == (resume is None):
        raise click.UsageError("give --since TIME to start a replay, or --resume ID to continue")
    clients = connected(name, state)
    told: set[str] = set()

    def on_wait(cause: str) -> None:
        if cause not in told:
            told.add(cause)
            notes.print(printable(f"waiting, then trying again: {cause}"))

    stack = StackReplay(clients, rate=rate, on_wait=on_wait)
    if since is not None:
        replay_id, replay = stack.start(since)
    else:
        replay_id = resume or ""
        replay = stack.resume(replay_id)
    if applies:
        again = command_for(f"replay --resume {replay_id} --apply", name, state)
        done = applied(replay, replay_id, again)
        print_json(done, applied=True) if as_json else show_replayed(done)
        span = done.span
    else:
        plan = planned(replay)
        print_json(plan, applied=False) if as_json else show_plan(plan, name, state)
        span = plan.span
    sys.exit(0 if span.complete else NO)


def planned(replay: Replay) -> ReplayPlan:
    """Plan a replay and show its progress on a terminal."""
    with notes.status("reading the stream") as line:
        return replay.plan(lambda count: line.update(f"reading the stream: {count:,} records"))


def applied(replay: Replay, replay_id: str, again: str) -> Replayed:
    """Apply a replay and show its progress; say how to continue it with the command `again`."""
    so_far: list[Replayed] = []
    with notes.status("replaying") as line:

        def on_progress(done: Replayed) -> None:
            if not so_far:
                notes.print(f"if interrupted: {again}")
            so_far[:] = [done]
            line.update(f"replaying: {done.records:,} records, at {done.last_arrival or 'start'}")

        try:
            return replay.apply(replay_id, on_progress)
        except BaseException:
            for one in so_far:
                notes.print(f"not finished: {counted(one.records, 'record')} replayed")
                notes.print(f"continue with {again}")
            raise


def show_plan(plan: ReplayPlan, name: str | None, state: Path) -> None:
    """Print the plan of a replay as text."""
    print_table(
        ["shard", " records"], [[shard, f"{count:,}"] for shard, count in plan.shards.items()]
    )
    if plan.oldest is None:
        answers.print("the stream holds no records")
    else:
        answers.print(f"the stream holds records from {plan.oldest} on")
    _show_span(plan.span)
    answers.print(
        f"{counted(plan.records, 'record')} would be delivered to both stores, in at least "
        f"{dt.timedelta(seconds=round(plan.seconds))} (h:mm:ss)"
    )
    for one in plan.unfinished:
        again = command_for(f"replay --resume {one.id} --apply", name, state)
        answers.print(
            printable(f"unfinished: since {one.since}, {counted(one.records, 'record')} replayed")
        )
        answers.print(printable(f"continue with {again}"))
    if plan.records:
        answers.print(APPLY_HINT)


def show_replayed(done: Replayed) -> None:
    """Print a replay as text."""
    print_table(
        ["store", *(f" {fate.lower()}" for fate in _FATES)],
        [
            [store, *(f"{counts.get(fate, 0):,}" for fate in _FATES)]
            for store, counts in done.outcomes.items()
        ],
    )
    if done.discarded:
        answers.print(f"left out, because an operator has discarded them: {done.discarded:,}")
    if done.redriven:
        answers.print(f"not quarantined again, because they were redriven: {done.redriven:,}")
    _show_span(done.span)
    rate = done.records / done.seconds if done.seconds else 0.0
    answers.print(
        f"{counted(done.records, 'record')} settled in both stores "
        f"({done.seconds:.1f} s, {rate:,.0f} a second)"
    )
    answers.print(f"arrived from {done.span.read_from} to {done.span.until}")


def _show_span(span: Span) -> None:
    """Say what a replay does not read."""
    if span.complete:
        return
    why = (
        f"the stream no longer holds them, or they are over {LONGEST_RETENTION.days} days old"
        if span.too_old
        else "the stream no longer holds them"
    )
    answers.print(f"NOT replayed: records from {span.since} to {span.read_from}")
    answers.print(f"if there were any, {why}")
