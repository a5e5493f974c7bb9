"""Renders a plan as one HTML file (`one_file.py`): costs, limits, a day, outages, every formula."""

from collections.abc import Iterator, Sequence
from itertools import groupby

import msgspec

from lockstep.plan.catching_up import catch_up_s
from lockstep.plan.expected import ExpectedLoad
from lockstep.plan.formulas import Value
from lockstep.plan.parameters import PlannedStack
from lockstep.plan.words import in_words, unchecked_figures, with_unit
from lockstep.reports.one_file import page_template
from lockstep.reports.sides import readable

# The width and height of a drawing, in units of its own.
_WIDE, _TALL = 100, 30
# A bar of a limit is full at so many times the peak.
MOST_TIMES = 10
_OUTAGES = (1, 3, 6, 12, 24, 48, 72, 144)  # hours
_HOUR = 3600


class _Shown(msgspec.Struct, frozen=True):
    """A figure in words, and the length of its bar."""

    label: str
    value: str
    star: str = ""
    width: float = 0.0
    extra: str = ""


class _HourBar(msgspec.Struct, frozen=True):
    """A bar of an hour."""

    x: float
    y: float
    height: float


class _Outage(msgspec.Struct, frozen=True):
    """What follows an outage of so many hours: the time of each store, in words and as a bar."""

    hours: int
    table: _Shown
    index: _Shown


def html_of_plan(planned: PlannedStack, name: str | None) -> bytes:
    """The plan as an HTML file, in UTF-8.

    Args:
        planned: the plan.
        name: the name of the deployed stack from which it starts; None if there is none.
    """
    stars = unchecked_figures(planned)
    values = {one.name: one.value for one in planned.figures}
    first = next(one for one in planned.figures if one.name == planned.first_limit)
    return _template.render(
        planned=planned,
        load=planned.load,
        name=name,
        month=in_words(values["month_dollars"], "dollars"),
        star_of_month="*" if "month_dollars" in stars else "",
        first=(first.label, in_words(first.value, first.unit)),
        costs=list(_costs(planned, stars)),
        limits=list(_limits(planned, stars)),
        day=list(_day(planned.load.hours)) if planned.load.events_by_hour else [],
        busiest=in_words(max(planned.load.hours), ""),
        tall=_TALL,
        most_times=MOST_TIMES,
        outages=list(_outages(planned.load, values)),
        sections=[
            (section, [(one, *with_unit(one), "*" if one.name in stars else "") for one in figures])
            for section, figures in groupby(planned.figures, lambda one: one.section)
        ],
    ).encode()


def _costs(planned: PlannedStack, stars: frozenset[str]) -> Iterator[_Shown]:
    """The items of a month, the highest first."""
    items = [
        (float(one.value), one)
        for one in planned.figures
        if one.section == "dollars a month" and one.shown and one.name != "month_dollars"
    ]
    most = max(value for value, _ in items)
    for value, one in sorted(items, key=lambda item: -item[0]):
        star = "*" if one.name in stars else ""
        yield _Shown(one.label, in_words(value, "dollars"), star, _share(value, most))


def _limits(planned: PlannedStack, stars: frozenset[str]) -> Iterator[_Shown]:
    """The limits that are met, the lowest first."""
    peak = planned.load.peak_events_per_second
    found = [
        (one.value, one)
        for one in planned.figures
        if one.section == "limits" and not isinstance(one.value, str)
    ]
    for value, one in sorted(found, key=lambda limit: limit[0]):
        star, times = "*" if one.name in stars else "", value / peak
        yield _Shown(
            one.label,
            in_words(value, one.unit),
            star,
            _share(min(times, MOST_TIMES), MOST_TIMES),
            in_words(times, ""),
        )


def _day(hours: Sequence[float]) -> Iterator[_HourBar]:
    most = max(hours) or 1
    for hour, events in enumerate(hours):
        height = round(_TALL * events / most, 2)
        yield _HourBar(round(hour + 0.1, 2), round(_TALL - height, 2), height)


def _outages(load: ExpectedLoad, values: dict[str, Value]) -> Iterator[_Outage]:
    """The time to catch up after outages of several lengths, up to the longest that is allowed."""
    hours = [one for one in _OUTAGES if one <= load.longest_outage_hours]
    found = {
        store: [
            catch_up_s(load.hours, one, float(values[f"{store}_drain_events_per_second"]))
            for one in hours
        ]
        for store in ("table", "index")
    }
    every = [one for times in found.values() for one in times if not isinstance(one, str)]
    most = max(every, default=1) or 1
    for at, one in enumerate(hours):
        yield _Outage(one, _time(found["table"][at], most), _time(found["index"][at], most))


def _time(seconds: float | str, most: float) -> _Shown:
    if isinstance(seconds, str):
        return _Shown("", seconds)
    value, unit = (seconds / _HOUR, "h") if seconds >= _HOUR else (seconds / 60, "min")
    return _Shown("", f"{in_words(value, unit)} {unit}", width=_share(seconds, most))


def _share(value: float, most: float) -> float:
    return round(_WIDE * value / most, 2) if most else 0.0


def _number(value: float) -> str:
    return in_words(value, "")


_template = page_template("plan.html", {"readable": readable, "number": _number})
