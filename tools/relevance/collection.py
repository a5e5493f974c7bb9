"""The images that the queries search: the 2,000 real records, as events."""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

from lockstep.producing.producer import Stamp
from lockstep.producing.sources import BadLine, read_events
from lockstep.source_files.converters import load_mapping
from lockstep.source_files.records import lines
from shared.event import Event, Image

RECORDS = Path(__file__).parents[2] / "data" / "tate-2000.ndjson"
_WORD = re.compile(r"[^\W_]+")


def events() -> Iterator[Event]:
    """An event for each record, as in `lockstep demo`."""
    with RECORDS.open("rb") as file:
        for event in read_events(lines(file), Stamp(), load_mapping("tate")):
            if isinstance(event, BadLine):
                raise TypeError(f"{RECORDS}: {event}")
            yield event


def folded(text: str) -> str:
    """The text in lower case, without accents."""
    apart = unicodedata.normalize("NFKD", text.lower())
    return "".join(char for char in apart if not unicodedata.combining(char))


def words_in(text: str) -> list[str]:
    """Runs of letters and digits, folded."""
    return _WORD.findall(folded(text))


class Judgeable:
    """An image with its folded texts and their words, which decide what is relevant.

    It uses only the record, never an analyzer, a stemmer or a ranking, because those are measured.
    """

    def __init__(self, image_id: str, image: Image) -> None:
        self.image_id = image_id
        self.title = image.name
        self.attributes = image.attributes or {}
        self.name = folded(image.name)
        self.text = folded("\n".join([image.name, *(image.tags or ()), *self.attributes.values()]))
        self.name_words = frozenset(words_in(image.name))
        self.words = frozenset(words_in(self.text))


@cache
def collection() -> Sequence[Judgeable]:
    """Every record, in the order of the file."""
    return [
        Judgeable(event.image_id, event.image)
        for event in events()
        if isinstance(event.image, Image)
    ]


@cache
def spread() -> Counter[str]:
    """The number of images that contain each word, in any field."""
    return Counter(word for one in collection() for word in one.words)
