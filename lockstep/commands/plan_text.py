"""A plan as text: a table of its figures, or the formulas behind them."""

from collections.abc import Iterator, Sequence
from itertools import groupby

from lockstep.console.terminal import answers, notes, print_table
from lockstep.console.text import printable
from lockstep.plan.parameters import ParameterChange, PlannedStack
from lockstep.plan.planning import PlannedFigure, PlanSource
from lockstep.plan.words import in_words, unchecked_figures, with_unit


def show(planned: PlannedStack, *, explain: bool) -> None:
    """Print a plan as text.

    Args:
        planned: the plan.
        explain: whether to print formulas and sources.
    """
    unchecked = unchecked_figures(planned)
    for section, figures in groupby(planned.figures, key=lambda one: one.section):
        chosen = [one for one in figures if explain or one.shown]
        if explain:
            answers.print(f"{section}:")
            for line in _explained(chosen, unchecked):
                answers.print(line)
        else:
            print_table(
                [section, " value", "unit"],
                [[one.label, *_shown(one, unchecked)] for one in chosen],
            )
    first = next(one for one in planned.figures if one.name == planned.first_limit)
    answers.print(
        f"the first limit: {first.label}, at {in_words(first.value, first.unit)} events/s"
    )
    if planned.limits_below_the_peak:
        answers.print(
            f"below the peak of {in_words(planned.load.peak_events_per_second, '')} events/s: "
            f"{'; '.join(planned.limits_below_the_peak)}"
        )
    if explain:
        answers.print("sources:")
        for source in planned.sources:
            answers.print(f"  {_source(source)}")
    count = sum(not one.checked for one in planned.sources)
    answers.print(
        f"prices and limits of {planned.region}, {planned.as_of}; {count} of them were not "
        "compared with their sources (*)"
    )
    for one in planned.left_out:
        notes.print(f"not a parameter of the template: {one}")


def show_changes(name: str, changes: Sequence[ParameterChange]) -> None:
    """Print what should be changed in a deployed stack.

    Args:
        name: the name of the stack.
        changes: the parameters that differ.
    """
    if not changes:
        answers.print(printable(f"stack {name} has the parameters of the plan"))
        return
    print_table(
        [printable(f"parameters of stack {name}"), " now", " planned"],
        [
            [one.name, "(none)" if one.deployed is None else printable(one.deployed), one.planned]
            for one in changes
        ],
    )


def _explained(figures: Sequence[PlannedFigure], unchecked: frozenset[str]) -> Iterator[str]:
    for one in figures:
        yield f"  {one.label}: {' '.join(_shown(one, unchecked)).rstrip()}"
        yield f"    {one.name} = {one.formula}"


def _shown(one: PlannedFigure, unchecked: frozenset[str]) -> tuple[str, str]:
    """A figure and its unit; a star if it follows from what nobody compared with its source."""
    value, unit = with_unit(one)
    return value, f"{unit} {'*' if one.name in unchecked else ''}".strip()


def _source(one: PlanSource) -> str:
    where = one.source if one.checked else f"{one.source} (* not compared"
    if not one.checked:
        where += f"; read in {one.read_in})" if one.read_in else ")"
    return f"{one.name} = {one.value:.10g}: {one.meaning}; {where}"
