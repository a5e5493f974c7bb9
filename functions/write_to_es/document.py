"""The document: converts a change to a document and back (docs/internals/formats.md)."""

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from shared.change import Change, Purge, Put, Remove, StoredChange
from shared.event import EventType, Image, check_names
from shared.shortened import BriefError

# The index does not store the provenance of a change. A change that is read from a document has
# these values instead.
FROM_A_DOCUMENT = "restored-from-the-index"
NO_SEQUENCE_NUMBER = "0"


class Pair(msgspec.Struct, frozen=True, gc=False):
    """One attribute of an image. As a pair, it adds no field to the index mapping."""

    name: str
    value: str


class Head(msgspec.Struct, frozen=True):
    """The fields of a document that are not in the image. Absent fields are left out.

    `occurred_at` keeps its zone. `arrived_at` is in milliseconds and `expires_at` in seconds since
    1970.
    """

    image_id: str
    version: int
    deleted: bool
    event_type: EventType
    occurred_at: str
    arrived_at: int
    expires_at: int | UnsetType = UNSET
    digest: str | UnsetType = UNSET


# All fields of a document. A new field of `Image` also needs a field in mapping.json.
FIELDS = (*Head.__struct_fields__, *Image.__struct_fields__)


def document_from(change: Change) -> dict[str, Any]:
    """The document of an image or of a tombstone, for `msgspec.json.encode`."""
    document: dict[str, Any] = {
        "image_id": change.image_id,
        "version": change.version,
        "deleted": False,
        "event_type": change.event_type,
        "occurred_at": change.occurred_at,
        "arrived_at": change.arrived_at,
    }
    match change:
        case Remove() | Purge():
            document["deleted"] = True
            document["expires_at"] = change.expires_at
        case Put():
            document["digest"] = change.digest
            document.update(msgspec.to_builtins(change.image))
            if "attributes" in document:
                pairs = document["attributes"].items()
                document["attributes"] = [Pair(name, value) for name, value in pairs]
    return document


class MalformedDocumentError(BriefError):
    """No change makes such a document, so another program wrote it; says what is wrong."""


def change_in_document(source: Mapping[str, Any]) -> StoredChange:
    """The change that made this document, without its provenance.

    Fields that are not in `FIELDS` are ignored.

    Raises:
        MalformedDocumentError: no change makes such a document.
    """
    try:
        head = msgspec.convert(source, Head)
        forbidden = {"digest", *Image.__struct_fields__} if head.deleted else {"expires_at"}
        unexpected = [name for name in FIELDS if name in forbidden & source.keys()]
        if unexpected:
            kind = "a tombstone" if head.deleted else "an image"
            raise MalformedDocumentError(f"{kind}: unexpected {', '.join(unexpected)}")
        if head.deleted:
            return Remove(
                image_id=head.image_id,
                version=head.version,
                event_type=head.event_type,
                occurred_at=head.occurred_at,
                arrived_at=head.arrived_at,
                expires_at=_required("expires_at", head.expires_at),
                shard_id=FROM_A_DOCUMENT,
                sequence_number=NO_SEQUENCE_NUMBER,
            )
        return Put(
            image_id=head.image_id,
            version=head.version,
            image=image_in(source),
            digest=_required("digest", head.digest),
            event_type=head.event_type,
            occurred_at=head.occurred_at,
            arrived_at=head.arrived_at,
            shard_id=FROM_A_DOCUMENT,
            sequence_number=NO_SEQUENCE_NUMBER,
        )
    except msgspec.ValidationError as error:
        raise MalformedDocumentError(str(error)) from error


def image_in(source: Mapping[str, Any]) -> Image:
    """The image in a document.

    Raises:
        msgspec.ValidationError: a field is missing or invalid.
    """
    fields = {name: source[name] for name in Image.__struct_fields__ if name in source}
    if "attributes" in fields:
        pairs = msgspec.convert({"attributes": fields["attributes"]}, _Attributes).attributes
        fields["attributes"] = {pair.name: pair.value for pair in pairs}
    image = msgspec.convert(fields, Image)
    check_names(image)
    return image


class _Attributes(msgspec.Struct, frozen=True):
    """The attributes of a document; decoding them so makes an error name the field."""

    attributes: tuple[Pair, ...]


def _required[T](name: str, value: T | UnsetType) -> T:
    if isinstance(value, UnsetType):
        raise MalformedDocumentError(f"missing {name}")
    return value
