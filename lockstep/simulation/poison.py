"""Poison records: all kinds of records that no consumer may accept."""

import random
from collections.abc import Sequence
from typing import get_args

import msgspec

from lockstep.simulation.faults import PoisonKind
from lockstep.simulation.interpretation import (
    CONDEMNED_BY_TABLE,
    REFUSED_BY_INDEX,
    REFUSED_BY_TABLE,
)
from shared.event import AGGREGATED_MAGIC, MAX_EVENT_BYTES, Event, Image, encode
from shared.record import MAX_AHEAD_US
from shared.stamps import time_of

_TOO_LARGE = b" " * (MAX_EVENT_BYTES + 1)
_ALWAYS_POISON: dict[PoisonKind, Sequence[bytes]] = {
    "poison not_utf8": (b'{"type":"image.upl\xffaded"}', b"\xff"),
    "poison not_json": (b"", b"{", b"\xef\xbb\xbf{}", b'{"a":"\\ud800"}', b"[1,]", b"NaN"),
    "poison schema": (b"null", b"{}", b"[]", b"[" * 50 + b"]" * 50, b'{"version":1e999}'),
    "poison too_large": (_TOO_LARGE,),
    "poison aggregated": (AGGREGATED_MAGIC + b" and so on",),
}
_NAMES: dict[PoisonKind, str] = {
    "refused by the table": REFUSED_BY_TABLE,
    "condemned by the table": CONDEMNED_BY_TABLE,
    "refused by the index": REFUSED_BY_INDEX,
}
# Two names, so that three contents can claim one version.
_OTHER_CONTENTS = ("another content", "yet another content")
KINDS: tuple[PoisonKind, ...] = get_args(PoisonKind)
# Records of these kinds can be redriven unchanged after some time.
REDRIVABLE: tuple[PoisonKind, ...] = (
    "poison partition_key",
    "poison version_ahead",
    "refused by the table",
    "condemned by the table",
    "refused by the index",
)


def poison_record(
    kind: PoisonKind, chance: random.Random, *, image_id: str, version: int, taken: Event | None
) -> tuple[str, bytes]:
    """The partition key and the data of a poison record of this kind.

    Args:
        kind: what is wrong with it.
        chance: random numbers, to choose a variant of the kind.
        image_id: the image id that the record claims.
        version: the next version of that image.
        taken: an event whose version a conflict claims; without one, the data is not JSON.
    """
    if kind in _ALWAYS_POISON:
        return image_id, chance.choice(_ALWAYS_POISON[kind])
    if kind == "poison conflict":
        if taken is None:
            return image_id, b"{"
        image = Image(chance.choice(_OTHER_CONTENTS))
        event = msgspec.structs.replace(taken, type="image.updated", image=image)
        return taken.image_id, encode(event)
    ahead = 2 * MAX_AHEAD_US if kind == "poison version_ahead" else 0
    event = Event(
        type="image.updated",
        image_id=image_id,
        version=version + ahead,
        occurred_at=time_of(version),
        image=Image(_NAMES.get(kind, "poison")),
    )
    return image_id if kind != "poison partition_key" else f"{image_id}-not", encode(event)
