"""The figures of the judged set, and how they stand to those that were last accepted.

Of each query, over the first ten images found: the reciprocal rank of the first relevant one, the
share of the relevant ones that is there (ten are as good as all, where there are more), and how
many of those shown are relevant. A class's figures are the means of its queries'.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from statistics import fmean

import msgspec

from tests.relevance.generated import SHOWN, Judged

ACCEPTED = Path(__file__).with_name("accepted.tsv")
_DECIMALS = 4  # kept of each figure, so that means of what was kept are compared


class Figures(msgspec.Struct, frozen=True):
    """How well images were found: by one query, or by those of a class on average."""

    mrr: float
    recall: float
    precision: float


NAMES: Sequence[str] = Figures.__struct_fields__
# What must hold whatever was accepted, by class.
LEAST: Mapping[str, Figures] = {
    "exact title": Figures(mrr=1.0, recall=1.0, precision=0.0),
    "accents": Figures(mrr=0.0, recall=1.0, precision=0.0),
    "one letter wrong": Figures(mrr=0.0, recall=0.98, precision=0.0),
    "two letters wrong": Figures(mrr=0.0, recall=0.90, precision=0.0),
}

type Key = tuple[str, str]
"""A class and a query."""


class Measured(msgspec.Struct, frozen=True):
    """What a query found of what it must."""

    judged: Judged
    figures: Figures

    @property
    def key(self) -> Key:
        return (self.judged.kind, self.judged.query)


def measure(queries: Iterable[Judged], found: Callable[[str], Sequence[str]]) -> list[Measured]:
    """Ask each query; `found` gives the ids of the first images, best first."""
    return [Measured(one, figures_of(found(one.query)[:SHOWN], one.relevant)) for one in queries]


def figures_of(shown: Sequence[str], relevant: frozenset[str]) -> Figures:
    """One query's figures; those of a query that finds nothing are 0."""
    places = [place for place, image_id in enumerate(shown, start=1) if image_id in relevant]
    return Figures(
        mrr=round(1 / places[0], _DECIMALS) if places else 0.0,
        recall=round(len(places) / min(SHOWN, len(relevant)), _DECIMALS),
        precision=round(len(places) / len(shown), _DECIMALS) if shown else 0.0,
    )


def by_class(figures: Mapping[Key, Figures]) -> Mapping[str, Figures]:
    """The means of each class."""
    return {
        kind: Figures(
            **{name: fmean(getattr(figures[key], name) for key in keys) for name in NAMES}
        )
        for kind, keys in (
            (kind, list(keys)) for kind, keys in groupby(sorted(figures), key=lambda key: key[0])
        )
    }


def table(measured: Sequence[Measured]) -> Iterator[str]:
    """A line for each class."""
    yield f"{'class':<24}{'queries':>8}{'MRR':>8}{'recall@10':>12}{'precision@10':>14}"
    means = by_class({one.key: one.figures for one in measured})
    for kind, mean in means.items():
        count = sum(one.judged.kind == kind for one in measured)
        yield f"{kind:<24}{count:>8}{mean.mrr:>8.3f}{mean.recall:>12.3f}{mean.precision:>14.3f}"


def missed(measured: Iterable[Measured]) -> Iterator[str]:
    """A line for each query of which nothing relevant is among the first ten."""
    for one in measured:
        if one.figures.mrr == 0:
            judged = one.judged
            yield f"  {judged.kind}: {judged.query!r} ({judged.because})"


def wrong(measured: Sequence[Measured], accepted: Mapping[Key, Figures]) -> list[str]:
    """What must not be, line by line: figures that fell, or are too low; queries not accepted.

    Only what both have is compared, so that no new query hides that an old one fell.
    """
    now = {one.key: one.figures for one in measured}
    both = now.keys() & accepted.keys()
    before = by_class({key: accepted[key] for key in both})
    after = by_class({key: now[key] for key in both})
    lines = [
        f"{kind}: {name} is {getattr(mean, name):.3f}, must be {getattr(least, name):.2f} at least"
        for kind, mean in by_class(now).items()
        if (least := LEAST.get(kind)) is not None
        for name in NAMES
        if getattr(mean, name) < getattr(least, name)
    ]
    for kind, mean in after.items():
        for name in NAMES:
            was, is_now = getattr(before[kind], name), getattr(mean, name)
            if is_now < was:
                lines.append(f"{kind}: {name} fell from {was:.4f} to {is_now:.4f}")
                lines += _fell(name, {key for key in both if key[0] == kind}, accepted, now)
    for what, keys in (
        ("is judged, but was not when the figures were accepted", now.keys() - both),
        ("was judged when the figures were accepted, and is gone", accepted.keys() - both),
    ):
        lines += [f"{kind}: {query!r} {what}" for kind, query in sorted(keys)]
    return lines


def _fell(
    name: str, keys: Iterable[Key], accepted: Mapping[Key, Figures], now: Mapping[Key, Figures]
) -> Iterator[str]:
    for key in sorted(keys):
        was, is_now = getattr(accepted[key], name), getattr(now[key], name)
        if is_now < was:
            yield f"  {key[1]!r}: {name} {was:.4f}, now {is_now:.4f}"


def accepted_figures() -> Mapping[Key, Figures]:
    """The figures of each query that were accepted last."""
    rows = (line.split("\t") for line in ACCEPTED.read_text("utf-8").splitlines()[1:])
    return {(kind, query): Figures(*map(float, numbers)) for kind, query, *numbers in rows}


def accept(measured: Iterable[Measured]) -> None:
    """Let these be the accepted figures."""
    lines = ["\t".join(["class", "query", *NAMES])]
    for one in measured:
        numbers = (f"{getattr(one.figures, name):.{_DECIMALS}f}" for name in NAMES)
        lines.append("\t".join([*one.key, *numbers]))
    ACCEPTED.write_text("\n".join(lines) + "\n", "utf-8")
