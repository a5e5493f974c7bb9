"""The table of the figures: a row for each, with its references and its goals beside it."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

import msgspec

from benchmarks.speed.counting import Count


class Goal(msgspec.Struct, frozen=True):
    """What a figure must be.

    `cheaper`: the reference divided by the figure is at least `factor`. `at most`: the figure is at
    most `factor` times the reference, or at most `factor` itself, if there is no reference.
    """

    kind: Literal["cheaper", "at most"]
    factor: float
    reference: str | None = None

    def shown(self, figure: float, references: Mapping[str, float]) -> str:
        """The goal in words, and whether it is met."""
        if self.reference is None:
            met = figure <= self.factor
            words = f"at most {quantity(self.factor)}"
        else:
            reference = references[self.reference]
            if self.kind == "cheaper":
                ratio = reference / figure
                met = ratio >= self.factor
                words = f"{self.factor:g}x cheaper than {self.reference}: {ratio:.2f}x"
            else:
                ratio = figure / reference
                met = ratio <= self.factor
                words = f"at most {self.factor:g}x {self.reference}: {ratio:.2f}x"
        return f"{words}{'' if met else ' (**missed**)'}"


class Row(msgspec.Struct, frozen=True):
    """One figure.

    `unit` is what the numbers count. `count` has what was measured of ours, `references` that of
    the other programs, by name.
    """

    name: str
    unit: str
    figure: float
    references: Mapping[str, float]
    goals: Sequence[Goal] = ()
    microseconds: float | None = None


def row(
    name: str,
    unit: str,
    ours: Count,
    references: Mapping[str, Count],
    goals: Sequence[Goal] = (),
) -> Row:
    """The row of programs that were counted and timed."""
    instructions = {its: count.instructions for its, count in references.items()}
    return Row(name, unit, ours.instructions, instructions, goals, ours.microseconds)


def quantity(number: float) -> str:
    """A number with three significant digits: 391 k, 4.16 M, 1.92 G."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= size:
            scaled = number / size
            digits = 2 if scaled < 10 else 1 if scaled < 100 else 0  # noqa: PLR2004 - three digits
            return f"{scaled:.{digits}f} {letter}"
    return f"{number:.0f}"


def table(rows: Iterable[Row]) -> str:
    """The rows in Markdown."""
    lines = [
        "| figure | unit | ours | references | goals |",
        "| --- | --- | ---: | --- | --- |",
    ]
    for one in rows:
        timed = "" if one.microseconds is None else f", {one.microseconds:.0f} us"
        others = "; ".join(f"{name} {quantity(count)}" for name, count in one.references.items())
        goals = "; ".join(goal.shown(one.figure, one.references) for goal in one.goals)
        lines.append(
            f"| {one.name} | {one.unit} | {quantity(one.figure)}{timed} | {others} | {goals} |"
        )
    return "\n".join(lines)
