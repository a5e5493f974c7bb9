"""Write docs/guides/three-stacks.md: `python -m tools.three_stacks > docs/guides/three-stacks.md`.

`make generated` runs it. The page has the plans of three stacks, with each formula and source.
"""

import shlex
from collections.abc import Iterator, Mapping
from itertools import groupby
from typing import Any

import msgspec
from click.testing import CliRunner

from lockstep.cli import main
from lockstep.plan.parameters import PlannedStack
from lockstep.plan.words import unchecked_figures, with_unit

COMMANDS: Mapping[str, str] = {
    "1": "lockstep plan --events 1 --peak 10 --images 100000 --updates 90 --deletions 1"
    " --searches 2",
    "1,000": "lockstep plan --events 1000 --peak 3000 --images 50000000 --updates 95"
    " --deletions 1 --searches 50 --retention 14",
    "100,000": "lockstep plan --events 100000 --peak 200000 --images 1000000000 --updates 99.9"
    " --searches 1000 --retention 14",
}
"""The command of each stack, by its events a second."""

HEAD = """\
# Three stacks

What [`lockstep plan`](plan.md) calculates for 1, 1,000 and 100,000 events a second. `make
generated` writes this page. Nothing of it was tried on AWS. A star marks a figure that follows from
a price or a limit that nobody compared with its source.

```sh
{commands}
```
"""

BELOW = """\

The largest of them is beyond the template: the parameter file leaves out what the template cannot
be given. Its peak is above these limits, which you must have raised:

{limits}
"""

FORMULAS = """\

## Formulas

Each formula names figures of the tables above, what you say about the load, and the sources below.
"""

SOURCES = """\

## Sources

Measurements are of this repository, and tests compare them with the named page. Prices and limits
are of {region}, {as_of}.

| name | value | what it is | source |
| --- | ---: | --- | --- |
"""


def planned(command: str) -> PlannedStack:
    """What a command calculates."""
    printed = CliRunner().invoke(main, [*shlex.split(command)[1:], "--json"]).stdout
    answer: dict[str, Any] = msgspec.json.decode(printed)
    del answer["format"]
    return msgspec.convert(answer, PlannedStack)


def page(plans: Mapping[str, PlannedStack]) -> Iterator[str]:
    """The page, in pieces.

    Args:
        plans: the plan of each stack, by its events a second.
    """
    yield HEAD.format(commands="\n".join(COMMANDS.values()))
    last = list(plans.values())[-1]
    yield BELOW.format(limits="\n".join(f"- {one}" for one in last.limits_below_the_peak))
    stars = {events: unchecked_figures(one) for events, one in plans.items()}
    for section, rows in groupby(zip(*(one.figures for one in plans.values()), strict=True), _of):
        yield f"\n## {section[0].upper()}{section[1:]}\n\n"
        yield f"| figure | name | {' | '.join(f'{events} a second' for events in plans)} |\n"
        yield f"| --- | --- |{' ---: |' * len(plans)}\n"
        for row in rows:
            cells = []
            for events, figure in zip(plans, row, strict=True):
                star = " *" if figure.name in stars[events] else ""
                cells.append(f"{' '.join(with_unit(figure)).strip()}{star}")
            yield f"| {row[0].label} | `{row[0].name}` | {' | '.join(cells)} |\n"
    yield FORMULAS
    yield "\n| name | formula |\n| --- | --- |\n"
    for figure in last.figures:
        yield f"| `{figure.name}` | `{figure.formula}` |\n"
    yield SOURCES.format(region=last.region, as_of=last.as_of)
    # Of each stack, the price of its own instance type.
    sources = {(one.name, one.meaning): one for each in plans.values() for one in each.sources}
    for _, one in sorted(sources.items()):
        where = f"<{one.source}>" if ":" in one.source else f"`{one.source}`"
        star = "" if one.checked else " *"
        yield f"| `{one.name}` | {one.value:.10g} | {one.meaning} | {where}{star} |\n"


def _of(row: Any) -> str:
    section: str = row[0].section
    return section


if __name__ == "__main__":
    print("".join(page({events: planned(one) for events, one in COMMANDS.items()})), end="")
