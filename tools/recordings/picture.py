"""A recording as one SVG that plays without a script, and as the text that it ends with."""

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from itertools import groupby

import pyte
from pyte.screens import Char

from tools.recordings.recorder import Recording

# Pixels of one character, and of the frame around the terminal.
ACROSS, DOWN, MARGIN = 8.4, 18, 14
# A viewer sees the end for so long, in seconds.
AT_THE_END = 6.0
BACKGROUND, FOREGROUND = "#14181d", "#d7dde4"
_COLOURS: Mapping[str, str] = {
    "red": "#ff7b72",
    "green": "#7ee787",
    "brown": "#e3b341",
    "blue": "#79c0ff",
    "magenta": "#d2a8ff",
    "cyan": "#76e3ea",
}
_FONT = "ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace"


def final_text(recording: Recording) -> Sequence[str]:
    """The lines on the screen at the end, without the prompt that follows."""
    screen = _screen(recording)
    stream = pyte.Stream(screen)
    for output in recording.outputs[:-1]:
        stream.feed(output.text)
    return [line.rstrip() for line in screen.display if line.strip()]


def svg(recording: Recording) -> str:
    """The recording as a film: all its pictures below each other, behind a window that moves."""
    films = list(_pictures(recording))
    width = recording.header.width * ACROSS
    height = recording.header.height * DOWN
    total = films[-1][0] + AT_THE_END
    lines = {line: number for number, line in enumerate(dict.fromkeys(_lines(films)))}
    steps = "".join(
        f"{100 * at / total:.3f}%{{transform:translateY({-number * height}px)}}"
        for number, (at, _) in enumerate(films)
    )
    last = f"translateY({-(len(films) - 1) * height}px)"
    shown = "".join(
        f'<use href="#l{lines[line]}" y="{number * height + row * DOWN}"/>'
        for number, (_, screen) in enumerate(films)
        for row, line in enumerate(screen)
        if line
    )
    texts = "".join(
        f'<text id="l{number}" y="{DOWN - 5}">{line}</text>' for line, number in lines.items()
    )
    full, tall = width + 2 * MARGIN, height + 2 * MARGIN
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {full:g} {tall}" role="img">'
        f"<title>{escape(recording.header.title)}</title>"
        f"<style>text{{font:14px {_FONT};fill:{FOREGROUND};white-space:pre}}"
        f".b{{font-weight:bold}}.film{{transform:{last}}}"
        f"@media(prefers-reduced-motion:no-preference){{.film{{"
        f"animation:film {total:.2f}s step-end infinite}}}}"
        f"@keyframes film{{{steps}100%{{transform:{last}}}}}</style>"
        f'<defs>{texts}</defs><rect width="{full:g}" height="{tall}" rx="8" fill="{BACKGROUND}"/>'
        f'<svg x="{MARGIN}" y="{MARGIN}" width="{width:g}" height="{height}">'
        f'<g class="film">{shown}</g></svg></svg>\n'
    )


def _screen(recording: Recording) -> pyte.Screen:
    return pyte.Screen(recording.header.width, recording.header.height)


def _pictures(recording: Recording) -> Iterator[tuple[float, Sequence[str]]]:
    """What the screen shows, as rows of markup, each time that it changes."""
    screen = _screen(recording)
    stream = pyte.Stream(screen)
    shown: Sequence[str] | None = None
    for output in recording.outputs:
        stream.feed(output.text)
        rows = [_markup(screen, row) for row in range(screen.lines)]
        if rows != shown:
            yield output.at, rows
            shown = rows


def _lines(films: Sequence[tuple[float, Sequence[str]]]) -> Iterator[str]:
    return (line for _, rows in films for line in rows if line)


def _markup(screen: pyte.Screen, row: int) -> str:
    """One row, with a `tspan` for each part of one style; empty if it shows nothing."""
    cells = [screen.buffer[row][column] for column in range(screen.columns)]
    while cells and cells[-1].data == " ":
        cells.pop()
    parts = []
    column = 0
    for style, group in groupby(cells, key=_style):
        text = "".join(cell.data for cell in group)
        inner = escape(text, quote=False)
        parts.append(f'<tspan x="{column * ACROSS:g}"{style}>{inner}</tspan>')
        column += len(text)
    return "".join(parts)


def _style(cell: Char) -> str:
    colour = _COLOURS.get(cell.fg, f"#{cell.fg}" if len(cell.fg) == len("d7dde4") else "")
    fill = f' fill="{colour}"' if colour else ""
    return fill + (' class="b"' if cell.bold else "")
