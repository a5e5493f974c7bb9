"""Seeded bugs of what an event means: digest, values, times, item and document.

Many of them change both stores alike, so no comparison of the stores, no digest and no round trip
shows them: only somebody who knows what the author meant.
"""

import datetime as dt
import hashlib
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any, override

import msgspec
from msgspec import UNSET

from functions.write_to_dynamodb.sink import ImageTable, _Statements
from functions.write_to_es.document import Pair, document_from
from functions.write_to_es.sink import ImageIndex, _operation_for
from lockstep.producing.checked import CheckedEvent, checked, outgoing
from lockstep.producing.outbox import Outgoing
from lockstep.producing.producer import Producer, Stamp, _Put
from lockstep.producing.sources import BadLine, read_checked
from lockstep.simulation.components import (
    INDEX,
    INDEX_SECONDS,
    TABLE,
    TABLE_SECONDS,
    Components,
)
from shared.batch import Delivery
from shared.change import Change, Put, Remove, change_from
from shared.deliver import _Batch, deliver
from shared.envelope import IMAGE_EVENTS, Envelope
from shared.event import Event, Image, Time, decode, digest
from shared.fold import Candidate, fold
from shared.item import Item, item_from
from shared.record import Record, event_in
from tests.simulation.rewired import rewired
from tests.simulation.wrong_delivery import ledger

type ChangeOf = Callable[[Event, Record], Change]
_DAY_SECONDS = 24 * 60 * 60


def reads(change_of: Callable[[Record], Change]) -> Components:
    """Both consumers read a record by this function."""

    def wrong(
        records: Iterable[Mapping[str, Any]], *, envelope: Envelope = IMAGE_EVENTS, **more: Any
    ) -> Delivery:
        if envelope is IMAGE_EVENTS:
            envelope = Envelope(envelope.record, change_of)
        return deliver(records, envelope=envelope, **more)

    return Components(deliver=wrong)


def means(change: ChangeOf) -> Components:
    """Both consumers make this change of an event."""
    return reads(lambda record: change(event_in(record), record))


def digests(other: Callable[[Image], str]) -> Components:
    """Both consumers compute this digest."""
    return means(rewired(change_from, digest=other))


def keeps(other: Callable[[Image], Image]) -> Components:
    """Both consumers read this image: item, document and digest agree."""

    def change(event: Event, record: Record) -> Change:
        if event.image is not UNSET:
            event = msgspec.structs.replace(event, image=other(event.image))
        return change_from(event, record)

    return means(change)


def texts(other: Callable[[str], str]) -> Components:
    """Both consumers read each text of an image so."""

    def changed(value: Any) -> Any:
        match value:
            case str():
                return other(value)
            case tuple():
                return tuple(map(other, value))
            case dict():
                return {name: other(text) for name, text in value.items()}
            case _:
                return value

    def image(whole: Image) -> Image:
        fields = msgspec.structs.asdict(whole)
        return Image(**{name: changed(value) for name, value in fields.items()})

    return keeps(image)


def items(other: Callable[[Change], Item]) -> Components:
    """The table's sink writes this item."""

    class OtherStatements(_Statements, frozen=True):
        request = rewired(_Statements.request, item_from=other)

    class OtherItems(ImageTable):
        def __init__(self, *args: Any, **more: Any) -> None:
            super().__init__(*args, **more)
            self._image, self._tombstone = (
                OtherStatements(*msgspec.structs.astuple(one))
                for one in (self._image, self._tombstone)
            )

    return Components(table=partial(OtherItems, table_name=TABLE, longest_request=TABLE_SECONDS))


def documents(other: Callable[[dict[str, Any]], dict[str, Any]]) -> Components:
    """The index's sink writes this document."""
    operation = rewired(_operation_for, document_from=lambda change: other(document_from(change)))

    class OtherDocuments(ImageIndex):
        requests = rewired(ImageIndex.requests, _operation_for=operation)
        send = rewired(ImageIndex.send, _operation_for=operation)

    return Components(index=partial(OtherDocuments, alias=INDEX, longest_request=INDEX_SECONDS))


def without(*fields: str) -> Callable[[Image], str]:
    return lambda image: digest(msgspec.structs.replace(image, **dict.fromkeys(fields, UNSET)))


def without_the_order_of_tags(image: Image) -> str:
    if image.tags is UNSET:
        return digest(image)
    return digest(msgspec.structs.replace(image, tags=tuple(sorted(image.tags))))


def tags(other: Callable[[tuple[str, ...]], Iterable[str]]) -> Callable[[Image], Image]:
    def image(whole: Image) -> Image:
        if whole.tags is UNSET:
            return whole
        return msgspec.structs.replace(whole, tags=tuple(other(whole.tags)))

    return image


def without_what_is_empty(image: Image) -> Image:
    """Both sides agree: what is empty or zero is absent."""
    fields = msgspec.structs.asdict(image)
    return Image(**{name: value for name, value in fields.items() if value})


def without_empty_texts(value: dict[str, Any]) -> dict[str, Any]:
    return {name: one for name, one in value.items() if one != ""}


def without_zeros(value: dict[str, Any]) -> dict[str, Any]:
    return {name: one for name, one in value.items() if one != 0 or one is False}


def taken_in_utc(image: Image) -> Image:
    if image.taken_at is UNSET or image.taken_at.year in {1, 9999}:
        return image
    return msgspec.structs.replace(image, taken_at=image.taken_at.astimezone(dt.UTC))


def without_zone(image: Image) -> Image:
    if image.taken_at is UNSET:
        return image
    return msgspec.structs.replace(image, taken_at=image.taken_at.replace(tzinfo=dt.UTC))


def without_fraction(event: Event, record: Record) -> Change:
    return change_from(
        msgspec.structs.replace(event, occurred_at=event.occurred_at.replace(microsecond=0)), record
    )


def occurred_in_utc(event: Event, record: Record) -> Change:
    return change_from(
        msgspec.structs.replace(event, occurred_at=event.occurred_at.astimezone(dt.UTC)), record
    )


def occurred_at_arrival(event: Event, record: Record) -> Change:
    arrival = dt.datetime.fromtimestamp(record.arrived_at / 1000, dt.UTC)
    return change_from(msgspec.structs.replace(event, occurred_at=arrival), record)


def always_updated(event: Event, record: Record) -> Change:
    change = change_from(event, record)
    if isinstance(change, Remove):
        return change
    return msgspec.structs.replace(change, event_type="image.updated")


def first_plane(text: str) -> str:
    return "".join(one if ord(one) < 0x10000 else "\ufffd" for one in text)


def numbers_as_floats(value: Any) -> Any:
    match value:
        case {"N": number}:
            return {"N": str(float(number))}
        case {"M": attributes}:
            return {"M": {name: numbers_as_floats(one) for name, one in attributes.items()}}
        case _:
            return value


def item_with_floats(change: Change) -> Item:
    item = item_from(change)
    if "image" in item:
        item["image"] = numbers_as_floats(item["image"])
    return item


def document_with_floats(document: dict[str, Any]) -> dict[str, Any]:
    return {
        name: float(value) if name in {"width", "height", "size_bytes"} else value
        for name, value in document.items()
    }


def pairs(
    other: Callable[[list[Pair]], list[Pair]],
) -> Callable[[dict[str, Any]], dict[str, Any]]:
    def document(whole: dict[str, Any]) -> dict[str, Any]:
        if "attributes" not in whole:
            return whole
        return whole | {"attributes": other(whole["attributes"])}

    return document


def one_pair_for_each_value(all_pairs: list[Pair]) -> list[Pair]:
    return list({pair.value: pair for pair in all_pairs}.values())


def ends_after(days: int) -> ChangeOf:
    return rewired(
        change_from, end_of_tombstone=lambda arrived_at: arrived_at // 1000 + days * _DAY_SECONDS
    )


def expiry_in_milliseconds(change: Change) -> Item:
    item = item_from(change)
    if isinstance(change, Remove):
        item["expires_at"] = {"N": str(change.expires_at * 1000)}
    return item


class NothingIsOutrun(_Batch):
    _supersede: Any = rewired(_Batch._supersede, outrun=lambda *_: None)  # noqa: SLF001 - a wrong variant


def fold_by_text(changes: Iterable[tuple[Change, Record]]) -> dict[str, list[Candidate]]:
    return {
        image_id: sorted(candidates, key=lambda one: str(one.change.version), reverse=True)
        for image_id, candidates in fold(changes).items()
    }


# The zone is lost on both sides: the producer does not write it, and the consumers add `Z`.
_ZONELESS = "occurred_at"


def zoneless(data: bytes) -> bytes:
    event = msgspec.json.decode(data)
    event[_ZONELESS] = msgspec.convert(event[_ZONELESS], Time).replace(tzinfo=None).isoformat()
    return msgspec.json.encode(event, order="sorted")


def zoned(data: bytes) -> bytes:
    event = msgspec.json.decode(data)
    event[_ZONELESS] += "Z"
    return msgspec.json.encode(event)


def outgoing_without_zone(one: Event | CheckedEvent | Outgoing, unix: float) -> Outgoing:
    right = outgoing(one, unix)
    if isinstance(one, Outgoing):
        return right
    return Outgoing(right.image_id, zoneless(right.data))


class PutsWithoutZone(_Put):
    _read = rewired(_Put._read, outgoing=outgoing_without_zone)  # noqa: SLF001 - a wrong variant

    @override
    def _not_put(self) -> tuple[Event, ...]:
        return tuple(decode(zoned(one.data)) for one in self._outbox.unsettled())


class ProducesWithoutZone(Producer):
    put = rewired(Producer.put, _Put=PutsWithoutZone)


def read_without_zone(record: Record) -> Change:
    try:
        read = msgspec.structs.replace(record, data=zoned(record.data))
        return change_from(event_in(read), record)
    except Exception:  # noqa: BLE001 - poison, or another program's record
        return change_from(event_in(record), record)


def time_of_reading(lines: Iterable[bytes], stamp: Stamp) -> Iterator[CheckedEvent | BadLine]:
    """The reader replaces the time of the line."""
    for one in read_checked(lines, stamp):
        if isinstance(one, CheckedEvent):
            now = dt.datetime.fromtimestamp(stamp.unix(), dt.UTC)
            yield checked(msgspec.structs.replace(one.event, occurred_at=now), stamp.unix())
        else:
            yield one


def digest_of_the_data(record: Record) -> Change:
    """The digest is that of the JSON as the producer wrote it."""
    change = change_from(event_in(record), record)
    if not isinstance(change, Put):
        return change
    image = bytes(msgspec.json.decode(record.data, type=dict[str, msgspec.Raw])["image"])
    return msgspec.structs.replace(change, digest=hashlib.sha256(image).hexdigest())


WRONG: Mapping[str, Components] = {
    "meaning: the digest leaves the description out": digests(without("description")),
    "meaning: the digest leaves the attributes out": digests(without("attributes")),
    "meaning: the digest ignores the order of tags": digests(without_the_order_of_tags),
    "meaning: the digest is of the JSON as it was written": reads(digest_of_the_data),
    "meaning: the producer drops the zone, and the consumers add one": msgspec.structs.replace(
        reads(read_without_zone), producer=ProducesWithoutZone
    ),
    "meaning: what is empty or zero is absent in both stores": keeps(without_what_is_empty),
    "meaning: the tags lose their order in both stores": keeps(tags(sorted)),
    "meaning: a repeated tag is dropped in both stores": keeps(tags(dict.fromkeys)),
    "meaning: texts are normalized in both stores": texts(partial(unicodedata.normalize, "NFC")),
    "meaning: spaces around a text are dropped in both stores": texts(str.strip),
    "meaning: characters beyond the first plane are replaced": texts(first_plane),
    "meaning: the time of an image is converted to UTC": keeps(taken_in_utc),
    "meaning: the zone of the time of an image is dropped": keeps(without_zone),
    "meaning: the time of an event is converted to UTC": means(occurred_in_utc),
    "meaning: the time of an event loses its fraction": means(without_fraction),
    "meaning: an event occurs when it arrives": means(occurred_at_arrival),
    "meaning: the reader replaces the time of a line": Components(read=time_of_reading),
    "meaning: an upload is stored as an update": means(always_updated),
    "meaning: a tombstone ends after 90 days": means(ends_after(90)),
    "meaning: a tombstone ends after 60 days": means(ends_after(60)),
    "meaning: nothing is outrun": ledger(NothingIsOutrun),
    "meaning: versions are folded as texts": Components(
        deliver=rewired(deliver, fold=fold_by_text)
    ),
    "item: numbers have a decimal point": items(item_with_floats),
    "item: a tombstone ends in milliseconds": items(expiry_in_milliseconds),
    "document: numbers are floats": documents(document_with_floats),
    "document: an empty text is absent": documents(without_empty_texts),
    "document: zero is absent": documents(without_zeros),
    "document: attributes are sorted by value": documents(
        pairs(lambda all_pairs: sorted(all_pairs, key=lambda pair: pair.value))
    ),
    "document: of two attributes with one value, the last one stays": documents(
        pairs(one_pair_for_each_value)
    ),
}
