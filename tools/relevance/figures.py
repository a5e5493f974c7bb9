"""The figures of the judged set, and their comparison with the accepted ones.

Each query is measured on the first ten images found:

- mrr: the reciprocal rank of the first relevant image
- recall: the share of the relevant images that is found; if more than ten are relevant, ten are
  enough
- precision: the share of the found images that is relevant

The figures of a class are the means of its queries.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from statistics import fmean

import msgspec

from tools.relevance.generated import SHOWN, Judged

ACCEPTED = Path(__file__).with_name("accepted.tsv")
_DECIMALS = 4  # of each figure, so that a new figure equals the one in accepted.tsv


class Figures(msgspec.Struct, frozen=True):
    """The figures of one query, or the means of a class."""

    mrr: float
    recall: float
    precision: float


NAMES: Sequence[str] = Figures.__struct_fields__
# The minimum of each class. It also applies if lower figures are accepted.
LEAST: Mapping[str, Figures] = {
    "exact title": Figures(mrr=1.0, recall=1.0, precision=0.0),
    "accents": Figures(mrr=0.0, recall=1.0, precision=0.0),
    "one letter wrong": Figures(mrr=0.0, recall=0.98, precision=0.0),
    "two letters wrong": Figures(mrr=0.0, recall=0.90, precision=0.0),
}

# What the queries need that are a word of a name in another form: of all, of each class, of all.
OWN_WORDS_RECALL = 0.98
OWN_WORDS_MISSED = 1
OWN_WORDS_PRECISION = 0.86  # the mean of the classes over real titles at f54ad3c

type Key = tuple[str, str]
"""A class and a query."""


class Measured(msgspec.Struct, frozen=True):
    """A query with its figures."""

    judged: Judged
    figures: Figures

    @property
    def key(self) -> Key:
        """Its class and query."""
        return (self.judged.kind, self.judged.query)

    @property
    def found(self) -> bool:
        """Whether a relevant image is among the first ten."""
        return self.figures.mrr > 0


def measure(queries: Iterable[Judged], found: Callable[[str], Sequence[str]]) -> list[Measured]:
    """Run each query; `found` returns the ids of the images found, best first."""
    return [Measured(one, figures_of(found(one.query)[:SHOWN], one.relevant)) for one in queries]


def figures_of(shown: Sequence[str], relevant: frozenset[str]) -> Figures:
    """The figures of one query: 0 when it finds nothing."""
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
    yield f"{'class':<28}{'queries':>8}{'MRR':>8}{'recall@10':>12}{'precision@10':>14}"
    means = by_class({one.key: one.figures for one in measured})
    for kind, mean in means.items():
        count = sum(one.judged.kind == kind for one in measured)
        yield f"{kind:<28}{count:>8}{mean.mrr:>8.3f}{mean.recall:>12.3f}{mean.precision:>14.3f}"


def missed(measured: Iterable[Measured]) -> Iterator[str]:
    """A line for each query with no relevant image among the first ten."""
    for one in measured:
        if not one.found:
            judged = one.judged
            yield f"  {judged.kind}: {judged.query!r} ({judged.because})"


def own_words_summary(measured: Iterable[Measured], kinds: Collection[str]) -> str:
    """The figures of all queries of these classes, as a line."""
    mean = _mean([one for one in measured if one.judged.kind in kinds])
    return f"queries by words of names: recall {mean.recall:.4f}, precision {mean.precision:.4f}"


def own_words_unmet(measured: Iterable[Measured], kinds: Collection[str]) -> list[str]:
    """What the queries of these classes do not reach, as lines."""
    own = [one for one in measured if one.judged.kind in kinds]
    mean = _mean(own)
    lines = [
        f"queries by words of names: {name} is {is_now:.4f}, must be at least {least}"
        for name, is_now, least in (
            ("recall", mean.recall, OWN_WORDS_RECALL),
            ("precision", mean.precision, OWN_WORDS_PRECISION),
        )
        if is_now < least
    ]
    counts = Counter(one.judged.kind for one in own if not one.found)
    return lines + [
        f"{kind}: {count} queries are missed, must be at most {OWN_WORDS_MISSED}"
        for kind, count in sorted(counts.items())
        if count > OWN_WORDS_MISSED
    ]


def _mean(measured: Sequence[Measured]) -> Figures:
    return Figures(
        **{name: fmean(getattr(one.figures, name) for one in measured) for name in NAMES}
    )


def wrong(measured: Sequence[Measured], accepted: Mapping[Key, Figures]) -> list[str]:
    """The findings as lines: figures that fell or are too low, queries without accepted figures.

    Only queries that are in both sets are compared, so that a new query cannot hide a worse result
    of an old one.
    """
    now = {one.key: one.figures for one in measured}
    both = now.keys() & accepted.keys()
    before = by_class({key: accepted[key] for key in both})
    after = by_class({key: now[key] for key in both})
    lines = [
        f"{kind}: {name} is {getattr(mean, name):.3f}, must be at least {getattr(least, name):.2f}"
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
        ("has no accepted figures", now.keys() - both),
        ("has accepted figures, but is no longer judged", accepted.keys() - both),
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
    """The accepted figures of each query."""
    rows = (line.split("\t") for line in ACCEPTED.read_text("utf-8").splitlines()[1:])
    return {(kind, query): Figures(*map(float, numbers)) for kind, query, *numbers in rows}


def accept(measured: Iterable[Measured]) -> None:
    """Write these figures to accepted.tsv."""
    lines = ["\t".join(["class", "query", *NAMES])]
    for one in measured:
        numbers = (f"{getattr(one.figures, name):.{_DECIMALS}f}" for name in NAMES)
        lines.append("\t".join([*one.key, *numbers]))
    ACCEPTED.write_text("\n".join(lines) + "\n", "utf-8")
