"""Compares a raw item with a raw document by docs/internals/formats.md, without the product's code.

It knows the page, and says what an audit must say of one image: whether and how it differs, and
what the index is ahead with.
"""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from lockstep.simulation.oracle import stored_digest

_DAY = 86_400
_HORIZON_DAYS = 121
_HEAD = ("image_id", "version", "deleted", "event_type", "occurred_at", "arrived_at")
_PROVENANCE = ("shard_id", "sequence_number")
_OF_TOMBSTONE, _OF_IMAGE = ("expires_at",), ("digest",)
_TYPES: Mapping[str, type] = {
    "image_id": str,
    "version": int,
    "deleted": bool,
    "event_type": str,
    "occurred_at": str,
    "arrived_at": int,
    "shard_id": str,
    "sequence_number": str,
    "expires_at": int,
    "digest": str,
    "image": dict,
}
_IN_IMAGE = (
    "name",
    "description",
    "url",
    "content_type",
    "size_bytes",
    "width",
    "height",
    "checksum",
    "uploaded_by",
    "taken_at",
    "tags",
    "attributes",
)


class Said(msgspec.Struct, frozen=True):
    """What one entry says. `content` is all that both stores must have alike.

    `checked`: what the version check of the store compares.
    """

    version: int
    deleted: bool
    arrived_at: int
    expires_at: int | None
    checked: int
    content: tuple[Any, ...]
    is_malformed: bool

    def is_over(self, now: float) -> bool:
        """Whether this is an expired tombstone."""
        return (
            self.deleted
            and not self.is_malformed
            and self.expires_at is not None
            and self.expires_at <= now
        )


class Verdict(msgspec.Struct, frozen=True):
    """The kind of a difference, and what the index is ahead with, if anything."""

    kind: str
    ahead: str | None


class _Known:
    """What entries say, read once for each: an entry in a store is replaced, never changed."""

    MOST = 1_000

    def __init__(self, read: Callable[..., Said]) -> None:
        self._read = read
        self._known: dict[tuple[int, bool], tuple[Any, Said]] = {}

    def __call__(self, entry: Any, *, whole: bool) -> Said:
        known = self._known.get((id(entry), whole))
        if known is not None:
            return known[1]
        if len(self._known) >= self.MOST:
            self._known.clear()
        said = self._read(entry, whole=whole)
        self._known[id(entry), whole] = entry, said  # the entry lives, so its id stays its own
        return said


def said_by_item(item: Mapping[str, Any] | None, *, whole: bool) -> Said | None:
    """What an item says; `whole`: as an audit of all values reads it."""
    return None if item is None else _items(item, whole=whole)


def said_by_document(document: Any, *, whole: bool) -> Said | None:
    """What a document says: `document` has a `version` (OpenSearch's) and a `source`."""
    if document is None or document.source is None:
        return None
    return _documents(document, whole=whole)


def _by_item(item: Mapping[str, Any], *, whole: bool) -> Said:
    fields = {name: _plain(value) for name, value in item.items() if name in _TYPES}
    return _said(fields, None, whole=whole, ours=(*_HEAD, *_PROVENANCE))


def _by_document(document: Any, *, whole: bool) -> Said:
    source = document.source
    fields = {name: source[name] for name in _TYPES if name in source}
    fields.pop("image", None)
    image = {name: source[name] for name in _IN_IMAGE if name in source}
    if "attributes" in image:
        image["attributes"] = {one["name"]: one["value"] for one in image["attributes"]}
    if image:
        fields["image"] = image
    return _said(fields, document.version, whole=whole, ours=_HEAD)


_items, _documents = _Known(_by_item), _Known(_by_document)


def compared(
    table: Said | None, index: Said | None, *, now: float, explained: bool = False
) -> Verdict | None:
    """How an audit must find the two; None if they are equal.

    `explained`: the table's consumer has a record of the image in quarantine.
    """
    kind = _kind(table, index, now)
    if kind is None:
        return None
    return Verdict(kind, _ahead(table, index, now, explained=explained))


def _said(
    fields: Mapping[str, Any], checked: int | None, *, whole: bool, ours: tuple[str, ...]
) -> Said:
    version, arrived_at = _number(fields.get("version")), _number(fields.get("arrived_at"))
    deleted = fields.get("deleted") is True
    claims = version if version is not None else (checked or 0)
    content: tuple[Any, ...] = (fields.get("digest"),)
    if whole:
        content += (fields.get("event_type"), fields.get("occurred_at"))
    return Said(
        version=claims,
        deleted=deleted,
        arrived_at=arrived_at or 0,
        expires_at=_number(fields.get("expires_at")),
        checked=claims if checked is None else checked,
        content=content,
        is_malformed=_is_malformed(fields, whole=whole, ours=ours),
    )


def _is_malformed(fields: Mapping[str, Any], *, whole: bool, ours: tuple[str, ...]) -> bool:
    if whole:
        more = _OF_TOMBSTONE if fields.get("deleted") is True else (*_OF_IMAGE, "image")
        if fields.keys() != {*ours, *more}:
            return True
    elif not {"image_id", "version", "deleted"} <= fields.keys():
        return True
    checked = _TYPES.items() if whole else ((name, _TYPES[name]) for name in _READ)
    if any(name in fields and type(fields[name]) is not kind for name, kind in checked):
        return True
    deleted, expires_at = fields["deleted"], fields.get("expires_at")
    if deleted == ("digest" in fields):
        return True
    end = fields.get("arrived_at", 0) // 1000 + _HORIZON_DAYS * _DAY
    if deleted and expires_at is not None and expires_at < end:
        return True
    return whole and not deleted and stored_digest(fields["image"]) != fields["digest"]


# The fields that an audit without `--values` reads.
_READ = ("image_id", "version", "deleted", "digest", "expires_at", "arrived_at")


def _kind(table: Said | None, index: Said | None, now: float) -> str | None:
    table_over = table is not None and table.is_over(now)
    index_over = index is not None and index.is_over(now)
    if (
        table is not None
        and index is not None
        and (table_over or index_over)
        and (table.deleted and index.deleted and table.version == index.version)
    ):
        return None
    one, other = None if table_over else table, None if index_over else index
    if (one is not None and one.is_malformed) or (other is not None and other.is_malformed):
        return "malformed"
    if one is None or other is None:
        if one is other:
            return None
        return "missing_in_table" if one is None else "missing_in_index"
    if one.version != other.version:
        return "index_behind" if other.version < one.version else "table_behind"
    if one.deleted != other.deleted:
        return "deleted_in_one"
    if one.content != other.content:
        return "conflict"
    return None if other.checked == other.version else "index_version_moved"


def _ahead(table: Said | None, index: Said | None, now: float, *, explained: bool) -> str | None:
    if index is None:
        return None
    if table is not None and table.is_malformed:
        return None if index.is_malformed or index.is_over(now) else "malformed"
    if table is None or table.is_over(now):
        if explained:
            return "explained"
        if table is not None and index.version <= table.version:
            return "outlived"
        if 0 < index.arrived_at <= (now - _HORIZON_DAYS * _DAY) * 1000:
            return "outlived"
    elif index.version <= table.version:
        return None
    return "removal" if index.deleted else "image"


def _plain(value: Mapping[str, Any]) -> Any:
    ((kind, inner),) = value.items()
    match kind:
        case "N":
            return int(inner) if inner.lstrip("-").isdigit() else inner
        case "L":
            return [_plain(one) for one in inner]
        case "M":
            return {name: _plain(one) for name, one in inner.items()}
        case _:
            return inner


def _number(value: Any) -> int | None:
    return max(0, value) if type(value) is int else None
