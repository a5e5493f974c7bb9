"""The same mistake has the same reason and the same words wherever an event is refused."""

from pathlib import Path
from typing import Any, cast

import msgspec
import pytest

from lockstep.producing.backfill import Backfill, PastStamp, RefusedLine, sources
from lockstep.producing.producer import Producer, Stamp
from lockstep.producing.sources import BadLine, read_events
from lockstep.quarantine.settlement import CannotSettleError
from shared.deliver import deliver
from shared.event import Event, Image, InvalidEventError, Time
from tests.builders import clock, image, image_event, kinesis_record
from tests.memory_sink import MemorySink
from tests.unit.producer.scripted_stream import ScriptedStream
from tests.unit.quarantine.settling import BAD, OLD, mended
from tests.unit.quarantine.stand import Stand
from tests.unit.shared.test_refusal import MISTAKES, Mistake

NOW = 1_795_248_000.0
# Those that a line of a file and a correction can have.
JSON_MISTAKES = {
    name: one
    for name, one in MISTAKES.items()
    if one.data.startswith(b'{"type"') and one.reason != "not_json"
}
AT = msgspec.convert(image_event()["occurred_at"], Time)


class Box:
    """A quarantine that keeps reasons and details."""

    longest_put = 0.0

    def __init__(self) -> None:
        self.found: list[tuple[str, str]] = []

    def put(self, record: Any) -> None:
        self.found.append((record.reason, record.detail))


@pytest.mark.parametrize("mistake", MISTAKES.values(), ids=MISTAKES)
def test_in_the_quarantine(mistake: Mistake) -> None:
    box = Box()
    deliver(
        [kinesis_record(mistake.data)],
        to=MemorySink(),
        quarantine=box,
        function="write_to_dynamodb",
        clock=clock(),
        remaining=lambda: 99.0,
    )
    assert box.found == [(mistake.reason, mistake.detail)]


@pytest.mark.parametrize("mistake", MISTAKES.values(), ids=MISTAKES)
def test_in_put(mistake: Mistake) -> None:
    found = list(read_events([mistake.data], Stamp(lambda: NOW)))
    assert found == [BadLine(1, mistake.reason, mistake.detail)]


@pytest.mark.parametrize("mistake", JSON_MISTAKES.values(), ids=JSON_MISTAKES)
def test_in_an_import(mistake: Mistake, tmp_path: Path) -> None:
    file = tmp_path / "images.ndjson"
    file.write_bytes(mistake.data + b"\n")
    refused: list[RefusedLine] = []
    backfill = Backfill(
        cast("Any", None),
        list,
        stamp=PastStamp(lambda: NOW),
        now=lambda: NOW,
        on_refused=lambda line, _: refused.append(line),
    )
    backfill.run(sources(str(file), cast("Any", None)))
    assert refused == [RefusedLine(str(file), 1, mistake.reason, mistake.detail)]


@pytest.mark.parametrize("mistake", JSON_MISTAKES.values(), ids=JSON_MISTAKES)
def test_in_a_correction(mistake: Mistake) -> None:
    event = msgspec.json.decode(mistake.data)
    stand = Stand()
    stand.set_aside(BAD | {"image_id": event["image_id"]})
    with pytest.raises(CannotSettleError) as caught:
        mended(stand, event)
    # A correction is decoded and encoded before it is validated: 1e3 becomes 1000.0.
    detail = mistake.detail.replace("instead of 1e3", "instead of 1000.0")
    assert str(caught.value).endswith(f": {mistake.reason}: {detail}")


LIBRARY: dict[str, Event] = {
    "null for an optional field": Event(
        "image.uploaded", "T1", 1, AT, Image("n", description=cast("Any", None))
    ),
    "null for a name": Event("image.uploaded", "T1", 1, AT, Image(cast("Any", None))),
    "a version as text": Event("image.deleted", "T1", cast("Any", "1024"), AT),
    "a decimal point": Event("image.deleted", "T1", cast("Any", 1024.0), AT),
    "an id that is too long": Event("image.deleted", "a/" + "b" * 255, 1, AT),
    "an id with a slash": Event("image.deleted", "1982/12", 1, AT),
    "a lone surrogate at the end": Event("image.deleted", "\ud800", 1, AT),
    "a long attribute": Event(
        "image.uploaded", "T1", 1, AT, Image("n", attributes={"a": "x", "note": "x" * 8193})
    ),
}


@pytest.mark.parametrize("name", LIBRARY)
def test_in_the_library(name: str) -> None:
    mistake = MISTAKES[name]
    producer = Producer(ScriptedStream(), "images", clock=clock())
    with pytest.raises(InvalidEventError) as caught:
        producer.put([LIBRARY[name]])
    assert (caught.value.reason, caught.value.detail) == (mistake.reason, mistake.detail)


def test_an_object_of_an_older_release_keeps_its_reason_and_is_judged_by_todays_rules() -> None:
    """Release 0.1.0 called each of these mistakes `schema`, `not_json` or `not_utf8`."""
    stand = Stand()
    stand.set_aside(image_event("T1", OLD, image=image(description=None)))
    for one in list(stand.objects.kept):
        held = msgspec.json.decode(stand.objects.kept[one]) | {"reason": "schema"}
        stand.objects.kept[one] = msgspec.json.encode(held)
    case = stand.only()
    assert case.reasons == ("schema",)
    assert case.verdict.why == "null: $.image.description: null: leave the field out"
    corrected = mended(stand, {"type": "image.uploaded", "image_id": "T1", "image": image()})
    assert corrected.event is not None
    assert corrected.event.version == OLD
