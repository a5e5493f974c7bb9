"""The door of the simulation: `lockstep simulate`."""

import sys

import click

from lockstep.simulation.faults import FLOORS_PER_THOUSAND
from lockstep.simulation.run import Report, simulate
from lockstep.terminal import answers, notes, print_json, print_table, printable

_PROGRESS_EVERY = 100


@click.command("simulate")
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    default=1,
    show_default=True,
    help="Of the first history; each following has the next.",
)
@click.option("--histories", type=click.IntRange(min=1), default=1_000, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="One JSON object, for programs.")
def simulate_command(seed: int, histories: int, *, as_json: bool) -> None:
    """Random histories full of faults, and whether anything was lost or went backwards.

    The real rules, sinks, producer and event source mapping, over stores in memory, in virtual
    time. Needs no stack. Exit code 1: something broke, which its seed repeats; or a fault was not
    tried often enough to prove anything.
    """
    with notes.status("simulating") as line:

        def progress(done: int) -> None:
            if done % _PROGRESS_EVERY == 0:
                line.update(f"simulating: {done:,} of {histories:,} histories")

        report = simulate(seed, histories, progress=progress)
    if as_json:
        print_json(report)
    else:
        show(report)
    sys.exit(0 if report.succeeded else 1)


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
    rate = f"{report.histories_per_second:,.0f} a second"
    answers.print(f"{report.histories:,} histories from seed {report.seed}, {rate}")
    if report.failure is not None:
        failure = report.failure
        answers.print(f"seed {failure.seed} breaks {printable(failure.violation)}")
        answers.print(f"{len(failure.steps)} of its {failure.of_steps} steps are enough:")
        for step in failure.steps:
            answers.print(f"  {step}")
        answers.print(f"again: lockstep simulate --seed {failure.seed} --histories 1")
    elif report.missed:
        answers.print(f"too seldom: {', '.join(report.missed)}")
    else:
        answers.print("nothing lost, nothing backwards")
