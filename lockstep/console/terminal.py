"""Output for people and for programs: `answers` is standard output, `notes` standard error.

Text from outside is printed only through `printable`.
"""

import html
from collections.abc import Collection, Iterable
from typing import Literal

import click
import msgspec
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from functions.search_images.highlight import EMPHASIS
from functions.search_images.visible import shown
from lockstep.console.text import CONTROLS, printable
from lockstep.console.wrapping import TableCell, WrappingConsole

# The version of what `--json` prints, of all commands together (docs/guides/json.md). A new field
# does not change it; another name, type or meaning does.
JSON_FORMAT = 1

_ANY_WIDTH = 1_000_000

# No markup and no emoji codes: text from outside may look like them.
answers = WrappingConsole(highlight=False, soft_wrap=True, markup=False, emoji=False)
notes = WrappingConsole(stderr=True, highlight=False, soft_wrap=True, markup=False, emoji=False)


def cut(text: str, most: int) -> str:
    """Text from outside, printable, cut to `most` columns of the terminal."""
    made = Text(printable(text))
    made.truncate(most, overflow="ellipsis")
    return made.plain


def highlighted(fragment: str) -> Text:
    """A search highlight as text: bold between `<em>` and `</em>`, its only markup.

    A text that shows nothing becomes a label.
    """
    text = Text()
    for position, part in enumerate(EMPHASIS.split(fragment)):
        text.append(printable(html.unescape(part)), style="bold yellow" if position % 2 else "")
    return text if shown(text.plain) == text.plain else Text(shown(text.plain))


def print_json(answer: msgspec.Struct, *, applied: bool | None = None) -> None:
    """Print an answer for programs: one JSON object on one line.

    It begins with the version of its format. docs/json/ has its schema (docs/guides/json.md).

    Args:
        answer: what the command found or did.
        applied: whether it made changes; None for a command without `--apply`.
    """
    head = {"format": JSON_FORMAT} | ({} if applied is None else {"applied": applied})
    fields = msgspec.json.encode(answer)[1:]
    comma = b"" if fields == b"}" else b","
    click.echo(safe_json(msgspec.json.encode(head)[:-1] + comma + fields))


def print_value(value: object) -> None:
    """Print a JSON value whose form another program defines, on one line."""
    click.echo(safe_json(msgspec.json.encode(value)))


def safe_json(encoded: bytes) -> bytes:
    """The same JSON value, on one line, without characters that could control a terminal."""
    return CONTROLS.sub(lambda found: _escaped(found[0]), encoded.decode()).encode()


def _escaped(char: str) -> str:
    r"""A character of 16 bits as `\uXXXX` in a JSON string."""
    return f"\\u{ord(char):04x}"


def _cell(text: str | Text) -> TableCell:
    return TableCell(Text(text) if isinstance(text, str) else text)


def print_table(
    columns: Iterable[str],
    rows: Iterable[Iterable[str | Text | TableCell]],
    *,
    whole: Collection[str] = (),
    to: Console = answers,
) -> None:
    """Print a table, without blanks at the ends of its lines.

    Args:
        columns: their headings; a leading space aligns the column to the right, for numbers.
            Without any heading, the table has no first row.
        rows: the cells.
        whole: the headings of the columns that are not folded.
        to: where to print it.
    """
    headings = [*columns]
    table = Table(box=None, pad_edge=False, header_style="dim", show_header=any(headings))
    for column in headings:
        justify: Literal["left", "right"] = "right" if column.startswith(" ") else "left"
        table.add_column(column.strip(), justify=justify, no_wrap=column in whole)
    for row in rows:
        table.add_row(*(one if isinstance(one, TableCell) else _cell(one) for one in row))
    options = to.options
    if not to.is_terminal:
        # What is piped keeps every word whole: a program, or a person, copies an ID from it.
        needed = Measurement.get(to, options.update(max_width=_ANY_WIDTH), table)
        if needed.minimum > options.max_width:
            options = options.update(max_width=needed.maximum)
    for line in to.render_lines(table, options, pad=False):
        text = Text.assemble(*((segment.text, segment.style or "") for segment in line))
        text.rstrip()
        to.print(text)
