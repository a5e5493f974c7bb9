"""`lockstep plan`: what a stack needs and costs, before it is deployed."""

from pathlib import Path
from typing import Any

import click
import msgspec

from lockstep.commands.chosen_stack import config_option, connected, settings
from lockstep.commands.options import NumberRange, examples, json_option
from lockstep.commands.plan_text import show, show_changes
from lockstep.console.errors import UserError
from lockstep.console.terminal import notes, print_json
from lockstep.console.text import printable
from lockstep.machine.files import replacing
from lockstep.plan.expected import ExpectedLoad
from lockstep.plan.hourly import HOURS, read_hourly
from lockstep.plan.parameters import PlannedStack, parameter_file, planned_stack
from lockstep.plan.planning import plan
from lockstep.plan.sources import measured, own_prices, read_prices

# Beyond these, no account exists, and products of figures would not be finite.
_FEWEST_EVENTS = 0.001
_MOST_EVENTS = 1e9
_MOST_IMAGES = 1e12
_MOST_SEARCHES = 1e6
_LARGEST_EVENT = 1_048_576
_RETENTIONS = ("2", "3", "7", "14", "30")  # RetentionDays of the template


class PlanFileError(UserError):
    """A file of a plan exists already; the message names it."""


@click.command(
    "plan",
    epilog=examples(
        "lockstep plan --events 50 --peak 200 --images 10000000 --updates 96",
        "lockstep plan --events 1 --images 100000 --searches 2 --explain",
        "lockstep plan --hourly day.txt --images 1e6 --prices frankfurt.toml --json",
        "lockstep plan --events 50 --images 1e6 --html plan.html",
        "lockstep plan --stack lockstep --write-parameters planned.toml",
    ),
)
@click.option(
    "--events",
    type=NumberRange(min=_FEWEST_EVENTS, max=_MOST_EVENTS),
    metavar="N",
    help="Events a second, the mean of a month.",
)
@click.option(
    "--hourly",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Instead of --events: 24 lines, the events a second in each hour of a day (UTC).",
)
@click.option(
    "--peak",
    type=NumberRange(min=_FEWEST_EVENTS, max=_MOST_EVENTS),
    metavar="N",
    help="Events a second at the busiest time.  [default: as --events, or the busiest hour]",
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
    help="Searches a second, the mean of a month.  [default: 0]",
)
@click.option(
    "--retention",
    type=click.Choice(_RETENTIONS),
    help="Days for which the stream keeps events.  [default: 7]",
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
@click.option(
    "--stack",
    "name",
    metavar="NAME",
    help="Start from the load of this CloudFormation stack, and say what to change in it.",
)
@config_option
@click.option(
    "--write-parameters",
    "parameters",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write the parameters of the template into a new FILE, for sam deploy --config-file.",
)
@click.option(
    "--html",
    "html_file",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write the plan, with charts and formulas, into a file for a browser.",
)
@click.option("--explain", is_flag=True, help="Show the formula and the sources of each figure.")
@json_option
def plan_command(
    *,
    events: float | None,
    hourly: Path | None,
    peak: float | None,
    event_bytes: float | None,
    images: float | None,
    updates: float,
    deletions: float,
    searches: float | None,
    retention: str | None,
    outage_hours: float,
    prices: Path | None,
    name: str | None,
    parameters: Path | None,
    html_file: Path | None,
    explain: bool,
    as_json: bool,
) -> None:
    """Say what a stack needs and costs, before it is deployed.

    The figures are calculated from measurements of Lockstep, and from limits and prices of AWS.
    Nothing was seen on AWS, and without --stack, no network is used. A star marks a price or a
    limit that nobody compared with its source.

    --stack reads the load of the last 14 days from the metrics of a deployed stack. What you say
    with other options counts instead. It shows the parameters that should have another value.
    """
    for wrong, why in (
        (events is not None and hourly is not None, "give --events or --hourly, not both"),
        (name is None and events is None and hourly is None, "give --events, --hourly or --stack"),
        (name is None and images is None, "give --images"),
    ):
        if wrong:
            raise click.UsageError(why)
    hours = () if hourly is None else read_hourly(hourly, most=_MOST_EVENTS)
    quoted = own_prices() if prices is None else read_prices(prices)
    if parameters is not None and parameters.exists():
        raise PlanFileError(f"{parameters} exists already: give the name of a new file")
    found = {} if name is None else _deployed(name)
    if events is None and not hours:
        hours = found["events_by_hour"]
        peak = found["peak_events_per_second"] if peak is None else peak
    mean = events or sum(hours) / HOURS
    if mean < _FEWEST_EVENTS:  # so few events have no hours
        mean, hours = _FEWEST_EVENTS, ()
    said = {"images": images, "searches_per_second": searches, "event_bytes": event_bytes}
    has: dict[str, Any] = {
        "searches_per_second": 0.0,
        "event_bytes": measured()["benchmark_event_bytes"].value,
        **found,
        **{field: value for field, value in said.items() if value is not None},
    }
    deployed = found.get("parameters")
    load = ExpectedLoad(
        mean_events_per_second=mean,
        peak_events_per_second=max((mean, *hours) if peak is None else (peak, _FEWEST_EVENTS)),
        event_bytes=has["event_bytes"],
        images=has["images"],
        update_share=updates / 100,
        deletion_share=deletions / 100,
        searches_per_second=has["searches_per_second"],
        retention_days=float(retention or (deployed or {}).get("RetentionDays", "7")),
        outage_hours=outage_hours,
        events_by_hour=hours,
    )
    planned = planned_stack(plan(load, measured(), quoted), deployed)
    _write(planned, name, parameters, html_file)
    if as_json:
        print_json(planned)
    else:
        show(planned, explain=explain)
        if name is not None:
            show_changes(name, planned.changes)


def _write(
    planned: PlannedStack, name: str | None, parameters: Path | None, html_file: Path | None
) -> None:
    """Write the files that the user asked for."""
    if parameters is not None:
        with parameters.open("x", encoding="utf-8") as file:
            file.write(parameter_file(planned))
        notes.print(printable(f"wrote the parameters into {parameters}"))
    if html_file is not None:
        from lockstep.reports.plan_page import html_of_plan  # noqa: PLC0415 - Jinja2

        with replacing(html_file) as replace:
            replace(html_of_plan(planned, name))


def _deployed(name: str) -> dict[str, Any]:
    """The load of a deployed stack, by the names of the fields of `DeployedLoad`."""
    from lockstep.stack.use_cases.load import deployed_load  # noqa: PLC0415 - not without a stack

    return msgspec.structs.asdict(deployed_load(connected(name, settings().state), name))
