"""Plan a stack: calculate every figure from a load, measurements, limits and prices."""

import datetime as dt
from collections.abc import Mapping, Sequence

import msgspec

from lockstep.plan.bounds import GROWTH, HOT_IMAGE, LIMITS, RECOVERY
from lockstep.plan.consumers import CONSUMERS
from lockstep.plan.dollars import ITEMS, STREAM
from lockstep.plan.expected import ExpectedLoad
from lockstep.plan.formulas import Formula, Known, names_in, value_of
from lockstep.plan.index import CHOICES, INDEX, chosen_nodes
from lockstep.plan.sources import MeasuredFigure, PriceList
from lockstep.plan.table import TABLE

SECTIONS: Sequence[tuple[str, Sequence[Formula]]] = (
    ("index", INDEX),
    ("consumers", CONSUMERS),
    ("stream", STREAM),
    ("table", TABLE),
    ("dollars a month", ITEMS),
    ("after an outage", RECOVERY),
    ("a hot image", HOT_IMAGE),
    ("limits", LIMITS),
    ("growth", GROWTH),
)
"""The sections of a plan and their formulas, in the order of the calculation."""


class PlannedFigure(msgspec.Struct, frozen=True):
    """One figure of a plan.

    Attributes:
        section: the part of the plan.
        name: its name in formulas; it ends with the unit if it has one.
        label: what it is, for people.
        unit: its unit; empty for a number of things, and for a text.
        value: the figure, or a text.
        formula: how it is calculated, with the names of figures and sources.
        shown: whether the table shows it without `--explain`.
    """

    section: str
    name: str
    label: str
    unit: str
    value: float | str
    formula: str
    shown: bool


class PlanSource(msgspec.Struct, frozen=True):
    """A measurement, a limit or a price that a formula uses.

    Attributes:
        name: its name in formulas; it ends with the unit if it has one.
        value: its value.
        meaning: what it is.
        source: the file of the repository, or the address of the page, that has it.
        checked: whether it was compared with its source. A test compares the measurements.
        read_in: where it was read instead; empty if nowhere.
    """

    name: str
    value: float
    meaning: str
    source: str
    checked: bool
    read_in: str


class CapacityPlan(msgspec.Struct, frozen=True):
    """What a stack needs and costs.

    Attributes:
        as_of: the date of the prices and limits.
        region: their region.
        load: the load.
        figures: every figure, in the order in which they are calculated.
        sources: what the formulas use besides, by name.
        first_limit: the name of the limit that is met first.
    """

    as_of: dt.date
    region: str
    load: ExpectedLoad
    figures: Sequence[PlannedFigure]
    sources: Sequence[PlanSource]
    first_limit: str


def plan(
    load: ExpectedLoad, measured: Mapping[str, MeasuredFigure], prices: PriceList
) -> CapacityPlan:
    """Plan a stack for a load.

    Args:
        load: the load.
        measured: the figures of this repository.
        prices: the prices and limits of AWS.

    Raises:
        LoadRefusedError: the parts of the load contradict each other.
    """
    load.check()
    sources = _sources(measured, prices)
    values: dict[str, Known] = {
        **msgspec.to_builtins(load),
        "events_by_hour": load.hours,
        **{name: source.value for name, source in sources.items()},
    }
    figures: list[PlannedFigure] = []
    for section, formulas in SECTIONS:
        for one in formulas:
            values[one.name] = value = value_of(one.text, values)
            figures.append(
                PlannedFigure(section, one.name, one.label, one.unit, value, one.text, one.shown)
            )
        if formulas is INDEX:
            chosen = chosen_nodes(prices.nodes, values)
            values.update(chosen)
            figures += [
                PlannedFigure(section, name, label, unit, chosen[name], text, shown=True)
                for name, (label, unit, text) in CHOICES.items()
            ]
            node = next(one for one in prices.nodes if one.type == chosen["node_type"])
            sources["node_hour_dollars"] = PlanSource(
                "node_hour_dollars",
                node.hour_dollars,
                f"an hour of {node.type}",
                node.source,
                node.checked,
                "",
            )
    used = {name for _, formulas in SECTIONS for one in formulas for name in names_in(one.text)}
    used |= {"most_template_nodes", "node_hour_dollars"}
    met = {
        one.name: one.value
        for one in figures
        if one.section == "limits" and not isinstance(one.value, str)
    }
    return CapacityPlan(
        prices.as_of,
        prices.region,
        load,
        figures,
        [source for name, source in sorted(sources.items()) if name in used],
        min(met, key=lambda name: met[name]),
    )


def _sources(measured: Mapping[str, MeasuredFigure], prices: PriceList) -> dict[str, PlanSource]:
    """All sources, by name."""
    return {
        **{
            name: PlanSource(name, one.value, one.meaning, one.page, checked=True, read_in="")
            for name, one in measured.items()
        },
        **{
            name: PlanSource(name, one.value, one.meaning, one.source, one.checked, one.read_in)
            for table in (prices.prices, prices.limits)
            for name, one in table.items()
        },
    }
