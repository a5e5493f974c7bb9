"""`lockstep plan`: what a stack needs and costs, before it is deployed."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

import click

from lockstep.commands.options import NumberRange, examples, json_option
from lockstep.console.terminal import answers, print_json, print_table
from lockstep.plan.expected import ExpectedLoad
from lockstep.plan.formulas import names_in
from lockstep.plan.index import CHOICES
from lockstep.plan.planning import CapacityPlan, PlannedFigure, PlanSource, plan
from lockstep.plan.sources import measured, own_prices, read_prices

# Beyond these, no account exists, and products of figures would not be finite.
_FEWEST_EVENTS = 0.001
_MOST_EVENTS = 1e9
_MOST_IMAGES = 1e12
_MOST_SEARCHES = 1e6
_LARGEST_EVENT = 1_048_576
_AN_HOUR = 3600
_WHOLE = 100  # from here on, without decimals
_RETENTIONS = ("2", "3", "7", "14", "30")  # RetentionDays of the template
_CHOSEN = frozenset(CHOICES)


@click.command(
    "plan",
    epilog=examples(
        "lockstep plan --events 50 --peak 200 --images 10000000 --updates 96",
        "lockstep plan --events 1 --images 100000 --searches 2 --explain",
        "lockstep plan --events 50 --images 1e6 --prices frankfurt.toml --json",
    ),
)
@click.option(
    "--events",
    type=NumberRange(min=_FEWEST_EVENTS, max=_MOST_EVENTS),
    metavar="N",
    required=True,
    help="Events a second, the mean of a month.",
)
@click.option(
    "--peak",
    type=NumberRange(min=_FEWEST_EVENTS, max=_MOST_EVENTS),
    metavar="N",
    help="Events a second at the busiest time.  [default: as --events]",
)
@click.option(
    "--event-bytes",
    type=NumberRange(min=1, max=_LARGEST_EVENT),
    metavar="BYTES",
    help="Size of an event.  [default: that of the benchmarks]",
)
@click.option(
    "--images",
    type=NumberRange(min=1, max=_MOST_IMAGES),
    metavar="N",
    required=True,
    help="Images in both stores.",
)
@click.option(
    "--updates",
    type=NumberRange(min=0, max=100),
    metavar="PERCENT",
    default=0,
    show_default=True,
    help="Part of the events that update an image.",
)
@click.option(
    "--deletions",
    type=NumberRange(min=0, max=100),
    metavar="PERCENT",
    default=0,
    show_default=True,
    help="Part of the events that delete an image.",
)
@click.option(
    "--searches",
    type=NumberRange(min=0, max=_MOST_SEARCHES),
    metavar="N",
    default=0,
    show_default=True,
    help="Searches a second, the mean of a month.",
)
@click.option(
    "--retention",
    type=click.Choice(_RETENTIONS),
    default="7",
    show_default=True,
    help="Days for which the stream keeps events.",
)
@click.option(
    "--outage-hours",
    type=NumberRange(min=0, max=168),
    metavar="HOURS",
    default=6,
    show_default=True,
    help="Hours for which a store is down, to see how long it takes to catch up.",
)
@click.option(
    "--prices",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Prices and limits of another region or date.  [default: those of Lockstep]",
)
@click.option("--explain", is_flag=True, help="Show the formula and the sources of each figure.")
@json_option
def plan_command(
    *,
    events: float,
    peak: float | None,
    event_bytes: float | None,
    images: float,
    updates: float,
    deletions: float,
    searches: float,
    retention: str,
    outage_hours: float,
    prices: Path | None,
    explain: bool,
    as_json: bool,
) -> None:
    """Say what a stack needs and costs, before it is deployed.

    The figures are calculated from measurements of Lockstep, and from limits and prices of AWS.
    Nothing was seen on AWS, and no network is used. A star marks a price or a limit that nobody
    compared with its source.
    """
    known = measured()
    load = ExpectedLoad(
        mean_events_per_second=events,
        peak_events_per_second=events if peak is None else peak,
        event_bytes=known["benchmark_event_bytes"].value if event_bytes is None else event_bytes,
        images=images,
        update_share=updates / 100,
        deletion_share=deletions / 100,
        searches_per_second=searches,
        retention_days=float(retention),
        outage_hours=outage_hours,
    )
    planned = plan(load, known, own_prices() if prices is None else read_prices(prices))
    if as_json:
        print_json(planned)
    else:
        show(planned, explain=explain)


def show(planned: CapacityPlan, *, explain: bool) -> None:
    """Print a plan as text."""
    unchecked = _unchecked(planned)
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
    answers.print(f"the first limit: {first.label}, at {_value(first.value, first.unit)} events/s")
    if explain:
        answers.print("sources:")
        for source in planned.sources:
            answers.print(f"  {_source(source)}")
    count = sum(not one.checked for one in planned.sources)
    answers.print(
        f"prices and limits of {planned.region}, {planned.as_of}; {count} of them were not "
        "compared with their sources (*)"
    )


def _explained(figures: Sequence[PlannedFigure], unchecked: frozenset[str]) -> Iterator[str]:
    for one in figures:
        yield f"  {one.label}: {' '.join(_shown(one, unchecked)).rstrip()}"
        yield f"    {one.name} = {one.formula}"


def _unchecked(planned: CapacityPlan) -> frozenset[str]:
    """The figures that follow from a source that was not compared."""
    found = {one.name for one in planned.sources if not one.checked}
    for figure in planned.figures:
        if figure.name not in _CHOSEN and not found.isdisjoint(names_in(figure.formula)):
            found.add(figure.name)
    return frozenset(found)


def _shown(one: PlannedFigure, unchecked: frozenset[str]) -> tuple[str, str]:
    """A figure and its unit; a star if it follows from what nobody compared with its source."""
    value, unit = one.value, one.unit
    if isinstance(value, str):
        unit = ""
    elif unit == "s" and value >= _AN_HOUR:
        value, unit = value / _AN_HOUR, "h"
    return _value(value, unit), f"{unit} {'*' if one.name in unchecked else ''}".strip()


def _source(one: PlanSource) -> str:
    where = one.source if one.checked else f"{one.source} (* not compared"
    if not one.checked:
        where += f"; read in {one.read_in})" if one.read_in else ")"
    return f"{one.name} = {one.value:.10g}: {one.meaning}; {where}"


def _value(value: float | str, unit: str) -> str:
    """A figure for people: dollars in cents, others in at least three digits."""
    if isinstance(value, str):
        return value
    if unit == "dollars":
        return f"{value:,.2f}"
    if value >= _WHOLE or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.3g}"
