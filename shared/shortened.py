"""Shortens what messages quote: names, values, paths, and what engines say."""

from typing import Final

# A message must fit in a log line, and a person must be able to read it.
MOST: Final = 600


def shortened(text: str, most: int = MOST) -> str:
    """The text in at most `most` characters: its start, how long it was, and its end.

    Messages say at their end where a fault is and what to do. The result is always valid UTF-8,
    and it stays the same when it is shortened again.

    Args:
        text: also with lone surrogates, which are escaped.
        most: at least 60.
    """
    text = text.encode(errors="backslashreplace").decode()
    if len(text) <= most:
        return text
    note = f"… [{len(text):,} characters] …"
    end = (most - len(note)) // 3
    return f"{text[: most - len(note) - end]}{note}{text[-end:]}"


class BriefError(Exception):
    """The base of exceptions whose message can quote what comes from outside: `MOST` is its limit.

    The arguments of the exception stay whole.
    """

    def __str__(self) -> str:
        return shortened(super().__str__())
