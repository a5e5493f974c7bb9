"""The figures of a plan for people: values with their units, and stars."""

from lockstep.plan.formulas import Value, names_in
from lockstep.plan.index import CHOICES
from lockstep.plan.planning import CapacityPlan, PlannedFigure

_AN_HOUR = 3600
_WHOLE = 100  # from here on, without decimals


def unchecked_figures(planned: CapacityPlan) -> frozenset[str]:
    """The names of figures that follow from a source that nobody compared."""
    found = {one.name for one in planned.sources if not one.checked}
    for figure in planned.figures:
        if figure.name not in CHOICES and not found.isdisjoint(names_in(figure.formula)):
            found.add(figure.name)
    return frozenset(found)


def with_unit(one: PlannedFigure) -> tuple[str, str]:
    """A figure and its unit; many seconds are hours."""
    value, unit = one.value, one.unit
    if isinstance(value, str):
        unit = ""
    elif unit == "s" and value >= _AN_HOUR:
        value, unit = value / _AN_HOUR, "h"
    return in_words(value, unit), unit


def in_words(value: Value, unit: str) -> str:
    """A figure: dollars in cents, others in at least three digits."""
    if isinstance(value, str):
        return value
    if unit == "dollars":
        return f"{value:,.2f}"
    if value >= _WHOLE or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.3g}"
