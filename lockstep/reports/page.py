"""Renders the report of an audit as one HTML file (`one_file.py`)."""

import datetime as dt
from collections.abc import Iterator, Sequence
from itertools import groupby

import msgspec

from lockstep.console.text import counted
from lockstep.reports.content import ReportContent, ReportWords
from lockstep.reports.gathering import EXAMPLES
from lockstep.reports.one_file import page_template
from lockstep.reports.sides import readable
from shared.rfc3339 import rfc3339

# Nobody reads more rows than this; `--json` has all.
MOST_ROWS = 20
# The heights of bars, in units of the drawing.
_TALLEST, _SMALLEST = 30, 1.5


class _Drawn(msgspec.Struct, frozen=True):
    """A bar of a timeline, as a rectangle."""

    x: float
    y: float
    height: float


class _KindOverTime(msgspec.Struct, frozen=True):
    """One kind of difference over time: the bars that are not empty; `most` is the tallest one."""

    kind: str
    bars: Sequence[_Drawn]
    most: int
    summary: str


def html_of(content: ReportContent) -> bytes:
    """The report as an HTML file, in UTF-8."""
    return _template.render(
        content=content,
        words=content.words,
        largest=max((count for _, count in content.kinds), default=1),
        counts=dict(content.kinds),
        differing=sum(content.differences.values()),
        lines=list(_lines(content)),
        examples=[
            (kind, list(some))
            for kind, some in groupby(content.examples.some, lambda one: one.kind)
        ],
        most_examples=EXAMPLES,
        most_rows=MOST_ROWS,
        tallest=_TALLEST,
    ).encode()


def _lines(content: ReportContent) -> Iterator[_KindOverTime]:
    bars = content.over_time.bars
    for kind, _ in content.kinds:
        counts = [bar.counts.get(kind, 0) for bar in bars]
        if not any(counts):
            continue
        most = max(counts)
        peak = bars[counts.index(most)].begins
        yield _KindOverTime(
            kind,
            [_drawn(at, count / most) for at, count in enumerate(counts) if count],
            most,
            f"{kind}: {_of(content.words, sum(counts))}, most from {_time(peak)}: {most:,}",
        )


def _of(words: ReportWords, count: int) -> str:
    return f"{count:,} {words.one if count == 1 else words.many}"


def _drawn(at: int, share: float) -> _Drawn:
    """A bar; the smallest one is seen, too."""
    height = round(max(_TALLEST * share, _SMALLEST), 2)
    return _Drawn(round(at + 0.1, 2), _TALLEST - height, height)


def _time(at: dt.datetime) -> str:
    return rfc3339(at, "seconds")


def _period(width: dt.timedelta) -> str:
    """A period in words: `1 hour`, `7 days`."""
    seconds = int(width.total_seconds())
    for unit, size in (("day", 86_400), ("hour", 3600)):
        if seconds >= size:
            return counted(seconds // size, unit)
    return counted(seconds // 60, "minute")


_template = page_template("page.html", {"readable": readable, "time": _time, "period": _period})
