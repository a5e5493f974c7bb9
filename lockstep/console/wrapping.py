"""Wraps lines between words, so that a terminal does not break them inside a word.

A word that is longer than a line stays whole: a person can then copy an address or a path.
"""

import re
from collections.abc import Iterator
from typing import Any

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

_WORD = re.compile(r"\S+")


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


def wrapped(text: Text, width: int) -> Text:
    """The text with no line of more columns than `width`, unless one word is longer.

    The further lines begin below the first word.
    """
    return Text("\n").join(
        part for line in text.split("\n", allow_blank=True) for part in _parts(line, width)
    )


def _parts(line: Text, width: int) -> Iterator[Text]:
    if cell_len(line.plain) <= width:
        yield line
        return
    words = list(_WORD.finditer(line.plain))
    indent = line.plain[: words[0].start()] if words else ""
    begins, used = 0, 0
    for word in words:
        needs = cell_len(line.plain[begins : word.end()]) + (cell_len(indent) if begins else 0)
        if needs > width and used > begins:
            yield _part(line, begins, used, indent)
            begins = word.start()
        used = word.end()
    yield _part(line, begins, used, indent)


def _part(line: Text, begins: int, ends: int, indent: str) -> Text:
    part = line[begins:ends]
    return part if begins == 0 else Text.assemble(indent, part)
