"""Poison records: all kinds of records that no consumer may accept."""

import base64
import random
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, get_args

from lockstep.simulation import oracle
from lockstep.simulation.components import TABLE
from lockstep.simulation.events import as_json, draw_change, draw_image, event_of
from lockstep.simulation.fakes.table_stream import ItemChange
from lockstep.simulation.faults import PoisonKind
from lockstep.simulation.interpretation import (
    CONDEMNED_BY_TABLE,
    REFUSED_BY_INDEX,
    REFUSED_BY_TABLE,
    Interpretation,
    Poison,
)
from lockstep.simulation.oracle import REFUSED_AHEAD_US, Meaning, time_of
from shared.event import AGGREGATED_MAGIC, MAX_EVENT_BYTES, Reason

_TOO_LARGE = b" " * (MAX_EVENT_BYTES + 1)
_GZIP = bytes.fromhex("1f8b08000000000002ffabae050043bfa6a302000000")  # `{}`
_UTF_16 = '{"type":"image.deleted"}'.encode("utf-16-le")


class _Variants(NamedTuple):
    """Data that is never an event, each with its reason."""

    data: Sequence[bytes]
    reason: Reason
    frequent: Sequence[tuple[bytes, Reason]] = ()
    """Frequent mistakes: each takes the place of the first ones of `data` at even versions."""


_ALWAYS_POISON: dict[PoisonKind, _Variants] = {
    "poison not_utf8": _Variants(
        (b'{"type":"image.upl\xffaded"}', b"\xff"), "not_utf8", ((_UTF_16, "utf_16"),)
    ),
    "poison not_json": _Variants(
        (b"", b"{", b"\xef\xbb\xbf{}", b'{"a":"\\ud800"}', b"[1,]", b"NaN"),
        "not_json",
        ((base64.b64encode(b'{"type":"image.deleted"}'), "base64"), (_GZIP, "compressed")),
    ),
    "poison schema": _Variants(
        (b"null", b"{}", b"[]", b"[" * 50 + b"]" * 50, b'{"version":1e999}'),
        "schema",
        (
            (b'{"image":null}', "null"),
            (b'{"image":{"width":"640"}}', "number_as_text"),
            (b'{"image":{"height":1024.0}}', "decimal_point"),
            (b'{"image_id":"a/b"}', "id_characters"),
            (b'{"image_id":"' + b"a" * 257 + b'"}', "id_too_long"),
        ),
    ),
    "poison too_large": _Variants((_TOO_LARGE,), "too_large"),
    "poison aggregated": _Variants((AGGREGATED_MAGIC + b" and so on",), "aggregated"),
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
# Records of these kinds are valid events, which only a store can tell.
REACHES_THE_STORE: tuple[PoisonKind, ...] = (
    "poison conflict",
    "refused by the table",
    "condemned by the table",
    "refused by the index",
)


class PoisonRecord(NamedTuple):
    """The partition key and the data of a record, and what its author meant by the data."""

    key: str
    data: bytes
    meant: Interpretation


def poison_record(
    kind: PoisonKind, chance: random.Random, *, image_id: str, version: int, taken: Meaning | None
) -> PoisonRecord:
    """A poison record of this kind.

    Args:
        kind: what is wrong with it.
        chance: random numbers, to choose a variant of the kind.
        image_id: the image id that the record claims.
        version: the next version of that image.
        taken: an event whose version a conflict claims; without one, the data is not JSON.
    """
    if kind in _ALWAYS_POISON:
        variants = _ALWAYS_POISON[kind]
        number = chance.randrange(len(variants.data))
        data, reason = variants.data[number], variants.reason
        if version % 2 == 0 and number < len(variants.frequent):
            data, reason = variants.frequent[number]
        return PoisonRecord(image_id, data, Poison(reason))
    if kind == "poison conflict":
        if taken is None:
            return PoisonRecord(image_id, b"{", Poison("not_json"))
        image = _other_image(chance, taken)
        return _written(
            chance,
            Meaning(taken.image_id, taken.version, "image.updated", taken.occurred_at, image),
        )
    if kind == "poison table_change":
        return PoisonRecord(image_id, _forged_change(image_id, version), Poison("schema"))
    ahead = 2 * REFUSED_AHEAD_US if kind == "poison version_ahead" else 0
    image = draw_image(chance, _NAMES.get(kind, "poison"))
    record = _written(
        chance, Meaning(image_id, version + ahead, "image.updated", time_of(version), image)
    )
    return record if kind != "poison partition_key" else record._replace(key=f"{image_id}-not")


def _forged_change(image_id: str, version: int) -> bytes:
    """A change of the table, as only the streams of its changes carry it."""
    meant = Meaning(image_id, version, "image.updated", time_of(version), {"name": "forged"})
    item = oracle.item(meant, arrived_at=version // 1000, shard_id="s", sequence_number="1")
    change = ItemChange(number=0, image_id=image_id, old=None, new=item, at=version / 1_000_000)
    return change.copy_of(TABLE)[1]


def _other_image(chance: random.Random, taken: Meaning) -> Mapping[str, Any]:
    """Another content: another image, or the same with one field changed."""
    if taken.image is not None and chance.random() < 0.5:  # noqa: PLR2004 - a coin
        return draw_change(chance, taken.image)
    return draw_image(chance, chance.choice(_OTHER_CONTENTS))


def _written(chance: random.Random, meant: Meaning) -> PoisonRecord:
    """The record of an event, as another program writes it."""
    return PoisonRecord(meant.image_id, as_json(chance, event_of(meant)), meant)
