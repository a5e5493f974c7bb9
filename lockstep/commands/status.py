"""`lockstep status`: show the backlog of each consumer."""

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import click
import msgspec

from lockstep.commands.chosen_stack import connected, stack_options
from lockstep.commands.losses import show_unread
from lockstep.commands.options import NumberRange, examples, json_option
from lockstep.commands.waiting import Waiting
from lockstep.console.terminal import answers, notes, print_json, print_table, print_value
from lockstep.console.text import counted, printable
from lockstep.stack import sam
from lockstep.stack.skew import BusiestShard, HotImage, busiest_shard, hot_images
from lockstep.stack.stack import REPLICA_CONSUMER, command_for
from lockstep.stack.status import Probed, Status, StoreHealth
from lockstep.stream.losses import typed
from shared.quarantine import CONSUMERS


@click.command(
    "status",
    epilog=examples(
        "lockstep status",
        "lockstep status --wait 120",
        "lockstep status --stack lockstep --wait 120 --probe",
        "lockstep status --stack lockstep --json",
        "lockstep status --hot",
        "lockstep status --env-vars > env.json",
    ),
)
@stack_options
@json_option
@click.option(
    "--wait",
    type=NumberRange(min=0),
    metavar="SECONDS",
    help="Wait at most this long until the consumers have caught up.",
)
@click.option(
    "--probe",
    "probes",
    is_flag=True,
    help="With --wait: put a marker on each shard, and wait for it in both stores.",
)
@click.option(
    "--hot",
    "shows_hot",
    is_flag=True,
    help="Show the images with the most records of the last 15 minutes, too.",
)
@click.option(
    "--env-vars", is_flag=True, help="Print the JSON file for `sam local invoke --env-vars`."
)
def status_command(
    name: str | None,
    state: Path,
    wait: float | None,
    *,
    probes: bool,
    shows_hot: bool,
    env_vars: bool,
    as_json: bool,
) -> None:
    """Show the backlog of each consumer.

    Exit code 0: the consumers have caught up; 1: not yet, a store does not answer, or the index or
    an alias is wrong; 2: the stores may lack events.
    """
    if probes and wait is None:
        raise click.UsageError("use --probe with --wait SECONDS")
    clients = connected(name, state)
    if env_vars:
        print_value(sam.env_vars(clients.stack))
        return
    from lockstep.stack.use_cases import consumers  # noqa: PLC0415 - slow; not without a stack

    if wait is None:
        found = consumers.status(clients)
    else:
        waiting = Waiting()
        with notes.status("waiting") as line:
            found = consumers.wait(
                clients,
                wait,
                probes=probes,
                on_look=lambda left: line.update(waiting.words(left, clients.clock.elapsed())),
            )
    found = msgspec.structs.replace(
        found, busiest=busiest_shard(clients), hot=hot_images(clients) if shows_hot else ()
    )
    if as_json:
        print_json(found)
    else:
        show_status(found, lambda command: command_for(command, name, state))
        if shows_hot:
            _show_busiest(None if found.is_skewed else found.busiest)
            _show_hot(found.hot)
    sys.exit(found.exit_code)


def _show_busiest(busiest: BusiestShard | None) -> None:
    if busiest is not None:
        of = f"{busiest.share:.0%} of the records of {counted(busiest.shards, 'shard')}"
        answers.print(printable(f"busiest shard: {busiest.shard_id}, {of}"))


def _show_hot(hot: Sequence[HotImage]) -> None:
    if not hot:
        answers.print("hot images: none has ten records in one batch")
        return
    print_table(
        ["hot image", " records"],
        [
            [
                printable(one.image_id),
                f"{one.records:,}"
                + (f" (at most {one.at_most_too_many:,} too many)" if one.at_most_too_many else ""),
            ]
            for one in hot
        ],
    )


def _probed(probe: Probed) -> str:
    markers = f"markers on {counted(probe.shards, 'shard')}"
    missing = [name for name in CONSUMERS if name not in probe.in_store_of]
    if missing:
        return f"{markers}: not written by {' and '.join(missing)} after {probe.seconds:,.1f} s"
    return f"{markers}: in both stores after {probe.seconds:,.1f} s"


def _show_stores(stores: Mapping[str, StoreHealth]) -> None:
    if stores:
        answers.print(f"stores: {', '.join(_answering(*one) for one in stores.items())}")
    for name, store in stores.items():
        if not store.answers:
            why = f"the {name} does not answer at {store.address}: {store.why}"
            answers.print(printable(f"NOT caught up: {why}"))


def _answering(name: str, store: StoreHealth) -> str:
    if not store.answers:
        return f"the {name} does NOT answer"
    colour = "" if store.cluster in {None, "green"} else f" (its cluster is {store.cluster})"
    return f"the {name} answers{colour}"


def show_status(found: Status, as_typed: Callable[[str], str]) -> None:
    """Print a status as text.

    Args:
        found: the status.
        as_typed: a command as it is typed for this stack.
    """
    print_table(
        ["consumer", " backlog", " lag", "caught up"],
        [
            [
                consumer,
                "unknown" if behind.backlog_records is None else f"{behind.backlog_records:,}",
                "unknown" if behind.lag_ms is None else f"{behind.lag_ms / 1000:,.1f} s",
                "yes" if behind.caught_up else "no",
            ]
            for consumer, behind in found.consumers.items()
        ],
    )
    _show_busiest(found.busiest if found.is_skewed else None)
    _show_stores(found.stores)
    if found.probe is not None:
        answers.print(_probed(found.probe))
    more = f" ({as_typed('quarantine list')} lists them)" if found.quarantined else ""
    answers.print(f"in quarantine: {found.quarantined_records:,}{more}")
    if found.replica is not None and found.replica_quarantined:
        where = printable(f"the bucket {found.replica.bucket}")
        answers.print(
            f"in quarantine of {REPLICA_CONSUMER}: {found.replica_quarantined:,} (in {where})"
        )
    if any(found.discarded.values()):
        discarded = ", ".join(f"{name} {count:,}" for name, count in found.discarded.items())
        answers.print(f"batches that were discarded: {discarded}")
    if found.quarantined_over_60_days:
        answers.print(
            f"quarantined over 60 days ago: {found.quarantined_over_60_days:,} "
            "(redrive them before they are 90 days old)"
        )
    for one in found.wrong:
        answers.print(printable(f"wrong: {one}"))
    if found.wrong:
        answers.print(f"wrong: {as_typed('rebuild')} shows how to correct it")
    if found.late_events:
        answers.print(
            f"late events in the last day: {found.late_events:,} "
            "(the log of write_to_dynamodb names them)"
        )
    for warning in found.warnings:
        notes.print(f"warning: {printable(warning)}")
    show_unread(found.losses, found.stopped, as_typed)
    if found.losses or found.stopped:
        answers.print(f"status: unknown since {typed(found.unknown_since)}")
