"""`lockstep simulate`: the rules on random histories with faults."""

import datetime as dt
import os
import sys
from pathlib import Path

import click

from lockstep.console.terminal import answers, notes, print_json, print_table
from lockstep.console.text import printable
from lockstep.simulation import record
from lockstep.simulation.faults import FLOORS_PER_THOUSAND
from lockstep.simulation.run import Report, simulate
from lockstep.simulation.source import Commit, source


@click.command("simulate")
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    help="Of the first history; each following has the next.  [default: 1, or where FILE ends]",
)
@click.option("--histories", type=click.IntRange(min=1), default=1_000, show_default=True)
@click.option(
    "--processes",
    type=click.IntRange(min=1),
    help="That run histories at the same time.  [default: one for each core]",
)
@click.option(
    "--record",
    "kept",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Go on from the last seed in FILE, and write the run down there.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object, for programs.")
def simulate_command(
    seed: int | None, histories: int, processes: int | None, kept: Path | None, *, as_json: bool
) -> None:
    """Test the rules on random histories with faults.

    Nothing may be lost or go backwards. The real rules, sinks, producer and event source mapping,
    over stores in memory, in virtual time. Needs no stack. Exit code 1: something broke, which its
    seed repeats; or a fault was not tried often enough to prove anything.
    """
    runs = source(besides=kept)
    if kept is not None:
        seed = _next_seed(kept, seed)
        if not isinstance(runs, Commit):
            raise click.UsageError(f"this is {runs}, which nobody could run again: commit first")
    with notes.status("simulating") as line:
        report = simulate(
            1 if seed is None else seed,
            histories,
            processes=processes or os.process_cpu_count() or 1,
            commit=str(runs),
            progress=lambda done: line.update(f"simulating: {done:,} of {histories:,} histories"),
        )
    if as_json:
        print_json(report)
    else:
        show(report)
    if kept is not None:
        record.add(kept, report, dt.datetime.now(dt.UTC).date())
    sys.exit(0 if report.succeeded else 1)


def _next_seed(kept: Path, seed: int | None) -> int:
    """Where the record goes on."""
    if seed is not None:
        raise click.UsageError(f"--seed: {kept} says which comes next")
    try:
        record.check_writable(kept)
        return record.standing(kept).last + 1
    except record.RecordError as error:
        raise click.UsageError(str(error)) from error


def show(report: Report) -> None:
    """A report as a person reads it."""
    print_table(
        ["fault", " hit", " floor"],
        [
            [
                fault,
                f"{hit:,}",
                f"{FLOORS_PER_THOUSAND[fault] * report.histories // 1000:,}",
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
        answers.print(
            f"seed {failure.seed} at {report.commit} breaks {printable(failure.violation)}"
        )
        answers.print(f"{len(failure.steps)} of its {failure.of_steps} steps are enough:")
        for step in failure.steps:
            answers.print(f"  {step}")
        answers.print(f"again: lockstep simulate --seed {failure.seed} --histories 1")
    else:
        answers.print(report.verdict)
