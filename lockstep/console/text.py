"""Text for a terminal: text from outside made safe, and counts in words."""

import re
import unicodedata
from collections.abc import Sequence

# What controls a terminal: control characters, separators of lines and paragraphs, and the
# characters that change the direction of all that follows them in the line. A lone surrogate cannot
# be printed. Other characters that show nothing belong to names: joiners, the tags of a flag, and
# direction marks, which change only their neighbours
# (docs/decisions/2026-11-29-a-terminal-shows-names-as-written.md).
CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def printable(text: str) -> str:
    """The text with every character escaped that could control a terminal."""
    return CONTROLS.sub(lambda found: _escaped(found[0]), text)


def told_apart(values: Sequence[str]) -> Sequence[str]:
    """The values; if different ones look the same, in quotes and with all but ASCII escaped."""
    looks = {_look(value) for value in values}
    return values if len(looks) == len(set(values)) else [ascii(value) for value in values]


def _look(text: str) -> str:
    composed = unicodedata.normalize("NFC", " ".join(text.split()))
    return "".join(char for char in composed if unicodedata.category(char) != "Cf")


def _escaped(text: str) -> str:
    return text.encode("unicode_escape").decode()


def counted(count: int, word: str, plural: str = "s") -> str:
    """A count and what it counts: `1 image`, `1,234 images`, `2 batches`."""
    return f"{count:,} {word}{'' if count == 1 else plural}"
