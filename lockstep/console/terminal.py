"""What a person sees: one console for answers, one for the rest, and nothing raw from outside."""

import html
import re
from collections.abc import Iterable

import click
import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from lockstep.console.text import printable

# No markup and no emoji codes: what looks like them comes from outside.
answers = Console(highlight=False, soft_wrap=True, markup=False, emoji=False)
notes = Console(stderr=True, highlight=False, soft_wrap=True, markup=False, emoji=False)

_EMPHASIS = re.compile(r"<em>(.*?)</em>", re.DOTALL)


def highlighted(fragment: str) -> Text:
    """A search highlight, which is HTML with no other markup: what stands in `<em>` is bold."""
    text = Text()
    for position, part in enumerate(_EMPHASIS.split(fragment)):
        text.append(printable(html.unescape(part)), style="bold yellow" if position % 2 else "")
    return text


def print_json(answer: object) -> None:
    """One JSON value on a line of its own, for programs; people may look at it, too.

    What could steer a terminal is escaped, which JSON reads as the same.
    """
    text = msgspec.json.encode(answer).decode()
    escapes = {ord(char): _escaped(char) for char in set(text) if not char.isprintable()}
    click.echo(text.translate(escapes).encode())


def _escaped(char: str) -> str:
    r"""A character in a JSON string, as `\uXXXX`: one of them or, beyond 16 bits, two."""
    units = char.encode("utf-16-be").hex(" ", 2)
    return "".join(f"\\u{unit}" for unit in units.split())


def print_table(columns: Iterable[str], rows: Iterable[Iterable[str | Text]]) -> None:
    """A small table: numbers to the right, text to the left."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in columns:
        table.add_column(column.strip(), justify="right" if column.startswith(" ") else "left")
    for row in rows:
        table.add_row(*row)
    answers.print(table)
