"""The page of the figures: parts that are measured again take the place of the earlier ones."""

import textwrap

WIDTH = 100
_AGAIN = "Measured again at commit "
# The sections whose tables have a row for each part: the row of a part that is not measured stays.
_BY_ROW = ("", "Growth")


def merged(earlier: str, now: str, commit: str, parts: str) -> str:
    """The earlier page, with the rows and sections of the page of now.

    Args:
        earlier: the page with all parts.
        now: the page of the parts that were measured.
        commit: what was measured.
        parts: their names.
    """
    found, new = _sections(earlier), _sections(now)
    for heading, text in new.items():
        by_row = heading in _BY_ROW and heading in found
        found[heading] = _rows_of(found[heading], text) if by_row else text
    note = textwrap.fill(f"{_AGAIN}{commit}: {parts}.", WIDTH)
    paragraphs = [one for one in found[""].split("\n\n") if not one.startswith(_AGAIN)]
    at = next(at for at, one in enumerate(paragraphs) if one.startswith("Measured at commit "))
    found[""] = "\n\n".join([*paragraphs[: at + 1], note, *paragraphs[at + 1 :]])
    first, *others = found.items()
    whole = [first[1], *(f"## {heading}\n\n{text}" for heading, text in others)]
    return "\n\n".join(one.strip() for one in whole) + "\n"


def _sections(page: str) -> dict[str, str]:
    """The text of each section by its heading; the first one has none."""
    first, *others = f"\n{page}".split("\n## ")
    named = (one.partition("\n") for one in others)
    return {"": first.strip(), **{heading: text.strip() for heading, _, text in named}}


def _rows_of(earlier: str, now: str) -> str:
    """The earlier text, with the rows of the table of now. A new row comes last."""
    rows = {_name(line): line for line in now.splitlines() if _is_row(line)}
    lines = [
        rows.pop(_name(line), line) if _is_row(line) else line for line in earlier.splitlines()
    ]
    last = max(at for at, line in enumerate(lines) if _is_row(line))
    return "\n".join([*lines[: last + 1], *rows.values(), *lines[last + 1 :]])


def _is_row(line: str) -> bool:
    return line.startswith("| ") and not line.startswith("| --- ")


def _name(row: str) -> str:
    return row.split(" | ", 1)[0]
