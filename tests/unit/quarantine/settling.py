"""Cases to settle, and short forms of what an operator decides about them."""

from typing import Any

import msgspec

from lockstep.quarantine.settlement import Settlement, choose, correct
from tests.builders import ARRIVED_AT, image, image_event
from tests.unit.quarantine.stand import NOW, Stand

STAMP = int(NOW * 1_000_000)
OLD = ARRIVED_AT * 1000  # a stamp, from when the record arrived


def conflict(version: int = OLD) -> Stand:
    stand = Stand()
    stand.set_aside(image_event("T1", version, image=image("this")), reason="conflict")
    return stand


def chosen(stand: Stand, what: Any) -> Settlement:
    case = stand.only()
    return choose(what, case, stand.payload_of(case), stand.stores, now=stand.now)


def mended(stand: Stand, event: dict[str, Any], **options: Any) -> Settlement:
    case = stand.only()
    raw = msgspec.Raw(msgspec.json.encode(event))
    data = stand.payload_of(case)
    return correct(case, data, raw, stand.stores, now=stand.now, **options)


def settle(stand: Stand, settlement: Settlement) -> None:
    stand.redrive.settle([settlement], {})


def without(event: dict[str, Any], *fields: str) -> dict[str, Any]:
    return {name: value for name, value in event.items() if name not in fields}


BAD = image_event("T1", OLD, unknown="field")


def outrun(version: int = OLD, **fields: Any) -> Stand:
    """The event is outrun by what is stored, a stamp from a clock that was an hour ahead."""
    stand = Stand()
    stand.set_aside(image_event("T1", version, **fields), reason="outrun")
    return stand


AHEAD = OLD + 7_200_000_000
