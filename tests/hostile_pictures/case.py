"""One hostile or odd file, and what reading it must end with."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

GIB = 1024**3
_PIECE = 1024 * 1024


class Case(NamedTuple):
    """A file.

    Attributes:
        name: what is wrong with it, or odd.
        make: its content, whole or in pieces.
        end: the one line of a refusal, or what was read: content type, size, and each note.
    """

    name: str
    make: Callable[[], bytes | Iterator[bytes]]
    end: str


def repeated(start: bytes, piece: bytes, size: int = GIB, end: bytes = b"") -> Iterator[bytes]:
    """A stream that begins so, and repeats a piece up to a size, in bytes."""
    yield start
    many = piece * max(1, _PIECE // len(piece))
    for _ in range(size // len(many)):
        yield many
    yield end
