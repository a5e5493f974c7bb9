"""What is seen, drawn for a terminal. Each line fits its width; nothing is told by colour alone."""

from collections.abc import Iterator, Sequence

from rich.text import Text

from lockstep.console.text import printable
from lockstep.watching import words
from lockstep.watching.seen import POINTS, Seen, SeenStream
from lockstep.watching.spark import sparkline

_LABEL = 15
# The columns of figures: consumer, rate, backlog, lag; and the gap between columns.
_NAME, _FIGURE, _GAP = 17, 9, 2
# In seconds: what is older is told.
_RECENT = 60.0
# Narrower, a history says nothing.
_SHORTEST = 8


def draw(seen: Seen, title: str, *, width: int, height: int, only_ascii: bool = False) -> Text:
    """The whole screen.

    Args:
        seen: what is seen.
        title: of the stack.
        width: columns of the terminal.
        height: lines of the terminal; what does not fit is counted in the last line.
        only_ascii: the terminal knows no Unicode.
    """
    at = words.moment(seen.at)
    lines = [
        _spread(f"stack {title}", at, width),
        Text(),
        *_stream(seen, width, only_ascii=only_ascii),
        *_state(seen),
    ]
    notes = [*_alarms(seen), *_errors(seen)]
    if len(lines) + len(notes) > height:
        lines = [line for line in lines if line]
    room = max(1, height - len(lines))
    if len(notes) > room:
        hidden = len(notes) - room + 1
        notes = [*notes[: room - 1], Text(f"and {hidden} more", style="dim")]
    shown = [*lines, *notes][:height]
    for line in shown:
        line.truncate(width, overflow="ellipsis" if not only_ascii else "crop")
        line.rstrip()
    return Text("\n", no_wrap=True).join(shown)


def _stream(seen: Seen, width: int, *, only_ascii: bool) -> Iterator[Text]:
    stream = seen.stream
    if stream is None:
        why = words.UNKNOWN if seen.errors.get("stream") else "being read"
        yield _labelled("stream", why)
        yield Text()
        return
    arrivals = f"{words.rate(stream.arrivals_per_second):>{_FIGURE}}"
    room = min(POINTS, width - _LABEL - _FIGURE - _GAP)
    drawn = sparkline(stream.arrivals, room, only_ascii=only_ascii)
    yield _labelled("arrivals", f"{arrivals}{' ' * _GAP}{drawn}")
    yield _labelled("shards", words.shards(stream.shards))
    if seen.at - stream.until > max(_RECENT, 2 * stream.period):
        yield _labelled("metrics until", words.moment(stream.until))
    yield Text()
    yield from _consumers(stream, width, only_ascii=only_ascii)
    yield Text()


def _consumers(stream: SeenStream, width: int, *, only_ascii: bool) -> Iterator[Text]:
    room = width - _NAME - 3 * (_GAP + _FIGURE)
    both = room >= 2 * (_GAP + _SHORTEST)
    points = max(0, min(POINTS, (room // 2 if both else room) - _GAP))
    gap = " " * _GAP
    head = [f"{'consumer':<{_NAME}}", *(f"{one:>{_FIGURE}}" for one in ("rate", "backlog", "lag"))]
    head += [f"{one:>{points}}" for one in ("rates", "lags")[: 1 + both]]
    yield Text(gap.join(head), style="dim")
    for name, one in stream.consumers.items():
        backlog = words.UNKNOWN if one.backlog_records is None else f"{one.backlog_records:,}"
        figures = (words.rate(one.per_second), backlog, words.lag(one.lag_ms))
        cells = [f"{name:<{_NAME}}", *(f"{figure:>{_FIGURE}}" for figure in figures)]
        if one.reads:
            histories = (one.rates, one.lags)[: 1 + both]
            cells += [sparkline(each, points, only_ascii=only_ascii) for each in histories]
            yield Text(gap.join(cells))
        else:
            yield Text.assemble(gap.join(cells), gap, ("does not read", "bold red"))
    if stream.period:
        yield Text(f"one mark: {stream.period:,.0f} s", style="dim")


def _state(seen: Seen) -> Iterator[Text]:
    told = (
        ("in quarantine", seen.quarantine and words.quarantine(seen.quarantine), "quarantine"),
        ("last audit", seen.audit and words.audit(seen.audit), "audit"),
        ("alarms", seen.alarms and words.alarms(seen.alarms), "alarms"),
    )
    for label, text, part in told:
        waiting = words.UNKNOWN if seen.errors.get(part) else "being read"
        yield _labelled(label, text or waiting)


def _alarms(seen: Seen) -> Sequence[Text]:
    on = () if seen.alarms is None else seen.alarms.on
    return [
        Text.assemble(
            ("ALARM ", "bold red"),
            printable(f"{one.name}: {one.says}"),
            "" if one.since is None else f" (since {words.moment(one.since.timestamp())})",
        )
        for one in on
    ]


def _errors(seen: Seen) -> Sequence[Text]:
    return [
        Text.assemble(("unknown ", "bold yellow"), printable(f"{parts}: {why}"))
        for why, parts in words.causes(seen.errors).items()
    ]


def _labelled(label: str, text: str) -> Text:
    return Text.assemble((f"{label:<{_LABEL}}", "dim"), printable(text))


def _spread(left: str, right: str, width: int) -> Text:
    """Both on one line; the left one is cut if there is no room."""
    title = Text(printable(left), style="bold")
    title.truncate(max(0, width - len(right) - _GAP), overflow="ellipsis", pad=True)
    return Text.assemble(title, " " * _GAP, right)
