"""The document: how the index stores a change, and reading it back (docs/internals/formats.md)."""

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from shared.change import Change, Purge, Put, Remove, Stored
from shared.event import EventType, Image

# The index does not keep where in the stream a change was found. A change that is read back from
# a document says so in these two, which are provenance only.
FROM_A_DOCUMENT = "restored-from-the-index"
NO_SEQUENCE_NUMBER = "0"


class Attribute(msgspec.Struct, frozen=True):
    """One of the user's own fields. Pairs, so that no user can add fields to the mapping."""

    name: str
    value: str


class Document(msgspec.Struct, frozen=True):
    """What is indexed under the image's id; absent fields are left out.

    Times are as the event wrote them, `arrived_at` is in milliseconds and `expires_at` in seconds
    since 1970. The catch-all field is not here: the mapping copies every word into it.
    """

    image_id: str
    version: int
    deleted: bool
    event_type: EventType
    occurred_at: str
    arrived_at: int
    expires_at: int | UnsetType = UNSET
    digest: str | UnsetType = UNSET
    name: str | UnsetType = UNSET
    description: str | UnsetType = UNSET
    url: str | UnsetType = UNSET
    content_type: str | UnsetType = UNSET
    size_bytes: int | UnsetType = UNSET
    width: int | UnsetType = UNSET
    height: int | UnsetType = UNSET
    checksum: str | UnsetType = UNSET
    uploaded_by: str | UnsetType = UNSET
    taken_at: str | UnsetType = UNSET
    tags: tuple[str, ...] | UnsetType = UNSET
    attributes: tuple[Attribute, ...] | UnsetType = UNSET


def document_from(change: Change) -> Document:
    """The image as it is to be found, or the tombstone that keeps its id and version."""
    match change:
        case Put():
            return _of_an_image(change)
        case Remove() | Purge():
            return Document(
                image_id=change.image_id,
                version=change.version,
                deleted=True,
                event_type=change.event_type,
                occurred_at=change.occurred_at,
                arrived_at=change.arrived_at,
                expires_at=change.expires_at,
            )


def _of_an_image(change: Put) -> Document:
    image = change.image
    return Document(
        image_id=change.image_id,
        version=change.version,
        deleted=False,
        event_type=change.event_type,
        occurred_at=change.occurred_at,
        arrived_at=change.arrived_at,
        digest=change.digest,
        name=image.name,
        description=image.description,
        url=image.url,
        content_type=image.content_type,
        size_bytes=image.size_bytes,
        width=image.width,
        height=image.height,
        checksum=image.checksum,
        uploaded_by=image.uploaded_by,
        taken_at=UNSET if image.taken_at is UNSET else msgspec.to_builtins(image.taken_at),
        tags=image.tags,
        attributes=UNSET
        if image.attributes is UNSET
        else tuple(Attribute(name, value) for name, value in image.attributes.items()),
    )


class MalformedDocumentError(Exception):
    """A document that we did not write, or that was changed behind our back; says what is wrong."""


def change_in(source: Mapping[str, Any]) -> Stored:
    """The change that made this document, but for the record's position, which nobody keeps here.

    Fields of others beside ours do not matter.

    Raises:
        MalformedDocumentError: no change of ours makes such a document.
    """
    try:
        found = msgspec.convert(source, Document)
        wrong = [*_image_fields(found), *_given(digest=found.digest)] if found.deleted else []
        wrong += [] if found.deleted else _given(expires_at=found.expires_at)
        if wrong:
            kind = "a tombstone" if found.deleted else "an image"
            raise MalformedDocumentError(f"{kind}, with {', '.join(wrong)} too much")
        if found.deleted:
            return Remove(
                image_id=found.image_id,
                version=found.version,
                event_type=found.event_type,
                occurred_at=found.occurred_at,
                arrived_at=found.arrived_at,
                expires_at=_needed("expires_at", found.expires_at),
                shard_id=FROM_A_DOCUMENT,
                sequence_number=NO_SEQUENCE_NUMBER,
            )
        return Put(
            image_id=found.image_id,
            version=found.version,
            image=image_in(found),
            digest=_needed("digest", found.digest),
            event_type=found.event_type,
            occurred_at=found.occurred_at,
            arrived_at=found.arrived_at,
            shard_id=FROM_A_DOCUMENT,
            sequence_number=NO_SEQUENCE_NUMBER,
        )
    except msgspec.ValidationError as error:
        raise MalformedDocumentError(str(error)) from error


def image_in(document: Document) -> Image:
    """The image that a document shows.

    Raises:
        msgspec.ValidationError: none of ours would.
    """
    fields = _image_fields(document)
    if document.attributes is not UNSET:
        fields["attributes"] = {pair.name: pair.value for pair in document.attributes}
    return msgspec.convert(fields, Image)


def _image_fields(document: Document) -> dict[str, Any]:
    """What the document says of the image, as it says it."""
    fields = {name: getattr(document, name) for name in Image.__struct_fields__}
    return {name: value for name, value in fields.items() if value is not UNSET}


def _given(**fields: object) -> list[str]:
    return [name for name, value in fields.items() if value is not UNSET]


def _needed[T](name: str, value: T | UnsetType) -> T:
    if isinstance(value, UnsetType):
        raise MalformedDocumentError(f"{name} is missing")
    return value
