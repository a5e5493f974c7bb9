"""`lockstep simulate`: the rules on random histories with faults."""

import datetime as dt
import os
import sys
from pathlib import Path

import click

from lockstep.commands.options import examples, json_option
from lockstep.console.terminal import answers, notes, print_json, print_table
from lockstep.console.text import printable
from lockstep.simulation import record_file
from lockstep.simulation.code_version import Commit, code_version
from lockstep.simulation.kinds import IMAGES, tablestore
from lockstep.simulation.run import Report, simulate


@click.command(
    "simulate",
    epilog=examples(
        "lockstep simulate",
        "lockstep simulate --seed 42 --histories 1",
        "lockstep simulate --replica tablestore",
    ),
)
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    metavar="N",
    help="Seed of the first history.  [default: 1, or the one after the last in FILE]",
)
@click.option(
    "--histories",
    type=click.IntRange(min=1),
    metavar="N",
    default=1_000,
    show_default=True,
    help="Number of histories.",
)
@click.option(
    "--processes",
    type=click.IntRange(min=1),
    metavar="N",
    help="Number of processes that run histories.  [default: one per core]",
)
@click.option(
    "--record",
    "kept",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Continue after the last seed in FILE, and add this run to it.",
)
@click.option(
    "--replica",
    type=click.Choice(["tablestore"]),
    help="Run histories of a replica in Table Store, which follows any DynamoDB table, instead of "
    "histories of the images.",
)
@json_option
def simulate_command(
    seed: int | None,
    histories: int,
    processes: int | None,
    kept: Path | None,
    replica: str | None,
    *,
    as_json: bool,
) -> None:
    """Test the rules on random histories with faults.

    No event may be lost, and no version may decrease. The real rules, sinks, producer and event
    source mapping run over stores in memory, in virtual time. No stack is needed.

    Exit code 1: a history broke a rule, raised an exception, did not end, or ended its process (its
    seed repeats the history); or a fault occurred too rarely for a valid result.
    """
    runs = code_version(besides=kept)
    kind = IMAGES if replica is None else tablestore()
    if kept is not None:
        seed = _next_seed(kept, seed, kind.command)
        if not isinstance(runs, Commit):
            raise click.UsageError(
                f"--record requires an unchanged commit, not {runs}: commit first"
            )
    with notes.status("simulating") as line:
        report = simulate(
            1 if seed is None else seed,
            histories,
            kind=kind,
            processes=processes or getattr(os, "process_cpu_count", os.cpu_count)() or 1,
            commit=str(runs),
            progress=lambda done: line.update(f"simulating: {done:,} of {histories:,} histories"),
        )
    if as_json:
        print_json(report)
    else:
        show(report)
    if kept is not None:
        today = dt.datetime.now(dt.UTC).date()  # noqa: TID251 - decides nothing
        record_file.add(kept, report, today)
    sys.exit(0 if report.succeeded else 1)


def _next_seed(kept: Path, seed: int | None, command: str) -> int:
    """The seed after the last one of the record."""
    if seed is not None:
        raise click.UsageError(f"--seed cannot be used with --record: {kept} gives the next seed")
    try:
        record_file.check_writable(kept)
        return record_file.recorded_runs(kept, command).last + 1
    except record_file.RecordError as error:
        raise click.UsageError(str(error)) from error


def show(report: Report) -> None:
    """Print a report as text."""
    print_table(
        ["fault", " occurred", " minimum"],
        [
            [
                fault,
                f"{hit:,}",
                f"{report.minimums[fault]:,}",
            ]
            for fault, hit in report.faults.items()
        ],
    )
    answers.print(
        f"{report.histories:,} histories from seed {report.seed} at {report.commit}, "
        f"{report.histories_per_second:,.0f} a second, "
        f"{report.histories_per_core_second:,.0f} a second and core"
    )
    if report.failure is not None:
        failure = report.failure
        answers.print(f"seed {failure.seed} at {report.commit} {printable(failure.ending)}")
        if failure.of_steps:
            answers.print(
                f"{len(failure.steps)} of its {failure.of_steps} steps are enough to fail:"
            )
        for step in failure.steps:
            answers.print(f"  {step}")
        answers.print(f"to repeat: {report.command} --seed {failure.seed} --histories 1")
    else:
        answers.print(report.verdict)
