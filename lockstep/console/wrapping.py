"""Wraps lines between words, so that a terminal does not break them inside a word.

In a line, a word that is longer than the line stays whole: a person can then copy an address or a
path. In a column of a table, the next column is in the way: there, a longer word is broken.
"""

import re
from collections.abc import Iterator
from typing import Any

from rich.cells import cell_len, chop_cells
from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.text import Text

_WORD = re.compile(r"\S+")
# An address or a path is broken after these characters.
_PIECE = re.compile(r"[^/?&=,;:._-]*[/?&=,;:._-]+|[^/?&=,;:._-]+")


class WrappingConsole(Console):
    """A console that wraps each text between words on a terminal, and nowhere else."""

    def print(self, *objects: Any, **options: Any) -> None:
        """Print, as the console does."""
        if self.is_terminal:
            objects = tuple(self._wrapped(one) for one in objects)
        super().print(*objects, **options)

    def _wrapped(self, one: Any) -> Any:
        if isinstance(one, str):
            one = Text(one)
        return wrapped(one, self.width) if isinstance(one, Text) else one


class TableCell:
    """A text in a column of a table. A word that is wider than the column is broken.

    It is broken after a character that separates, as `/` and `-`, if there is one.
    """

    def __init__(self, text: Text) -> None:
        self._text = text

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        """The columns that the text takes, as rich asks for them."""
        return Measurement.get(console, options, self._text)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """The text within the column, as rich asks for it."""
        yield self.within(options.max_width)

    def within(self, width: int) -> Text:
        """The text with no line of more columns than `width`."""
        return wrapped(self._text, width, breaks_words=True)


class ShortenedCell(TableCell):
    """A digest or a number in a column of a table. If it is too wide, its middle is left out."""

    def within(self, width: int) -> Text:
        """Both ends of the text, in one line of `width` columns."""
        text = self._text
        if cell_len(text.plain) <= width:
            return text
        end = (width - 1) // 2
        return Text.assemble(text[: width - 1 - end], "…", text[len(text) - end :])


def wrapped(text: Text, width: int, *, breaks_words: bool = False) -> Text:
    """The text with no line of more columns than `width`, unless one word is longer.

    The further lines begin below the first word.

    Args:
        text: the text.
        width: in columns of the terminal.
        breaks_words: whether a word that is longer than a line is broken.
    """
    return Text("\n").join(
        part
        for line in text.split("\n", allow_blank=True)
        for part in _parts(line, width, breaks_words=breaks_words)
    )


def _parts(line: Text, width: int, *, breaks_words: bool) -> Iterator[Text]:
    if cell_len(line.plain) <= width:
        yield line
        return
    words = [(word.start(), word.end()) for word in _WORD.finditer(line.plain)]
    indent = line.plain[: words[0][0]] if words else ""
    if breaks_words:
        words = [part for word in words for part in _broken(line.plain, *word, width)]
    begins, used = 0, 0
    for start, end in words:
        needs = cell_len(line.plain[begins:end]) + (cell_len(indent) if begins else 0)
        if needs > width and used > begins:
            yield _part(line, begins, used, indent)
            begins = start
        used = end
    yield _part(line, begins, used, indent)


def _broken(line: str, start: int, end: int, width: int) -> Iterator[tuple[int, int]]:
    """The places of a word's parts: one, if it is not longer than `width`."""
    if cell_len(line[start:end]) <= width:
        yield start, end
        return
    for piece in _PIECE.findall(line, start, end):
        for part in chop_cells(piece, width):
            yield start, start + len(part)
            start += len(part)


def _part(line: Text, begins: int, ends: int, indent: str) -> Text:
    part = line[begins:ends]
    return part if begins == 0 else Text.assemble(indent, part)
