"""A collection with the troubles of real ones goes in by a mapping file of 20 lines."""

from typing import Any

import msgspec
import pytest

from lockstep.producing.producer import Stamp
from lockstep.producing.sources import BadLine, read_events
from lockstep.source_files.converters import parse_mapping
from shared.event import Event
from tests.troubled_collection import MAPPING, records
from tests.unit.producer.scripted_stream import NOON
from tests.unit.source_files.test_mapping_drops_nothing import values_of

BY = parse_mapping(MAPPING, "mine.toml", is_json=False)
# These become a number, an ID or several tags; their whole text is looked for apart from them.
PARTS = ("Keywords", "export")


def read(given: list[dict[str, Any]]) -> list[Event | BadLine]:
    return list(read_events(map(msgspec.json.encode, given), Stamp(lambda: NOON), BY))


def test_every_value_of_every_record_is_kept() -> None:
    assert len(MAPPING.splitlines()) <= 20
    given = records(3000)
    found = read(given)
    assert [one for one in found if isinstance(one, BadLine)] == []
    assert len({one.image_id for one in found if isinstance(one, Event)}) == len(given)
    for record, event in zip(given, found, strict=True):
        kept = text_of(event)
        whole = {name: value for name, value in record.items() if name not in PARTS}
        words = [word.strip() for word in record["Keywords"].split("|")]
        assert [one for one in (*values_of(whole), *words) if one not in kept] == []


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"Photographed": "c. 1900"}, "Photographed"),
        ({"width (px)": "wide"}, "width (px)"),
        ({"Credit Line": "x" * 9000}, "Credit Line"),
        ({"Height_cm": 3}, "Height_cm"),
        ({"provenance.place.wd:id": "Q"}, "provenance.place.wd:id"),
        ({"object number": None}, "object number"),
        ({"高さ": 3}, "高さ"),
    ],
)
def test_a_record_that_cannot_be_kept_is_refused_by_its_field(
    wrong: dict[str, Any], field: str
) -> None:
    (found,) = read([records(1)[0] | wrong])
    assert isinstance(found, BadLine)
    assert f"`{field}`" in found.detail


def text_of(event: Event | BadLine) -> str:
    """All texts and numbers of an event, in a form to search in."""
    return "\n".join(values_of(msgspec.to_builtins(event)))
