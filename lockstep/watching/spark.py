"""Draws a history in one line of a terminal."""

from lockstep.watching.seen import History

_BLOCKS = "▁▂▃▄▅▆▇█"
# For a terminal that knows no Unicode.
_ASCII = "_.-=+*%#"


def sparkline(history: History, width: int, *, only_ascii: bool = False) -> str:
    """The last `width` values of a history, the newest at the right.

    The lowest mark is 0, the highest one the greatest value shown. A blank is unknown.
    """
    marks = _ASCII if only_ascii else _BLOCKS
    shown = history[-width:] if width > 0 else ()
    top = max((value for value in shown if value is not None), default=0.0)
    drawn = "".join(" " if value is None else marks[_level(value, top)] for value in shown)
    return drawn.rjust(max(0, width))


def _level(value: float, top: float) -> int:
    """0 to 7; everything above 0 is at least 1, so that little is told from nothing."""
    if value <= 0 or top <= 0:
        return 0
    return max(1, round(value / top * 7))
