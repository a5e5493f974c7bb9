"""The generator of events: every field, every kind of value, any JSON."""

import json
import random
from typing import Any

import msgspec
import pytest

from lockstep.simulation import oracle
from lockstep.simulation.events import as_json, draw_change, draw_image, draw_time, pools_of
from lockstep.simulation.history import History
from lockstep.simulation.oracle import Meaning
from lockstep.simulation.plan import plan
from shared.event import (
    MAX_DESCRIPTION_BYTES,
    MAX_VALUE_BYTES,
    MAX_VERSION,
    Image,
    decode,
    digest,
)
from tests.builders import image_event

SCHEMA: dict[str, Any] = msgspec.json.schema_components([Image])[1]["Image"]
CHANCE = random.Random(2)
DRAWN = [draw_image(CHANCE, f"name {number}") for number in range(30_000)]


def drawn(field: str) -> list[Any]:
    return [image[field] for image in DRAWN if field in image]


def test_every_image_is_valid_and_each_field_is_drawn() -> None:
    for image in DRAWN:
        line = json.dumps(image_event(event_type="image.updated", image=image)).encode()
        read = decode(line).image
        assert isinstance(read, Image)
        assert digest(read) == oracle.digest(image)
    assert {field for image in DRAWN for field in image} == set(Image.__struct_fields__)
    assert any(image.keys() == set(Image.__struct_fields__) for image in DRAWN)


def test_most_images_are_small() -> None:
    assert sum(len(image) <= 5 for image in DRAWN) > len(DRAWN) * 0.9


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "string"},
        {"type": "integer"},
        {"type": "string", "format": "date-time"},
        {"type": "array", "items": {"type": "string"}},
        {"type": "object", "additionalProperties": {"type": "string"}},
    ],
)
def test_a_new_field_is_drawn_by_its_schema(schema: dict[str, Any]) -> None:
    properties = SCHEMA["properties"] | {"new": schema}
    assert len(set(map(repr, pools_of({"properties": properties})["new"]))) > 20


def test_a_field_of_a_new_type_is_noticed() -> None:
    with pytest.raises(NotImplementedError, match="boolean"):
        pools_of({"properties": {"new": {"type": "boolean"}}})


def test_the_limits_of_each_kind_of_value_are_drawn() -> None:
    assert {0, 1, MAX_VERSION} <= set(drawn("width"))
    assert "" in drawn("url")
    assert [] in drawn("tags")
    assert {} in drawn("attributes")
    assert any(len(set(tags)) < len(tags) for tags in drawn("tags"))
    assert any(list(one) != sorted(one) for one in drawn("attributes"))
    texts = "".join(drawn("description"))
    for character in ("\u0301", "ש", "ع", "漢", "😀", "\U0010ffff", "\0", '"', "\\", "\u2028"):
        assert character in texts
    assert max(len(one.encode()) for one in drawn("url")) == MAX_VALUE_BYTES
    assert max(len(one.encode()) for one in drawn("description")) == MAX_DESCRIPTION_BYTES


def test_times_have_all_kinds_of_zones_and_fractions() -> None:
    ends = {time[19:] for time in drawn("taken_at")}
    assert {"Z", "z", "+00:00", "-00:00", "+05:30", "-12:45", "+18:00", "-18:00"} <= ends
    assert {"Z", ".5Z", ".000Z", ".000001Z", ".1234565Z"} <= ends
    assert any(time[10] == "t" for time in drawn("taken_at"))


def test_the_time_of_a_stamp_is_the_same_in_each_zone() -> None:
    stamp = 1_795_248_000_123_456
    whole = {
        oracle.moment(oracle.time(time)).timestamp()
        for seed in range(300)
        if ".123456" in (time := draw_time(random.Random(seed), stamp))
    }
    assert whole == {stamp / 1_000_000}


def test_any_json_of_an_event_says_the_same() -> None:
    event = image_event(image=DRAWN[0])
    texts = {as_json(random.Random(seed), event) for seed in range(50)}
    assert len(texts) == 3
    assert all(json.loads(text) == event for text in texts)


def test_a_changed_image_differs() -> None:
    changed = 0
    for seed, image in enumerate(DRAWN):
        other = draw_change(random.Random(seed), image)
        assert oracle.digest(other) != oracle.digest(image)
        changed += other.keys() == image.keys()
    assert 0 < changed < len(DRAWN)


def test_versions_have_from_1_digit_to_16_and_producers_meet() -> None:
    digits, both = set(), 0
    for seed in range(1, 400):
        history = History(plan(seed))
        history.run()
        system = history.system
        meant = [system.interpret(accepted) for accepted in system.stream.accepted]
        digits |= {len(str(one.version)) for one in meant if isinstance(one, Meaning)}
        both += len({uploader for uploader in history.uploaders if uploader.made}) == 3
    assert digits == set(range(1, 17))
    assert both
