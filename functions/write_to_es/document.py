"""The index document: a change as the index stores it (DESIGN.md, Formats)."""

import msgspec
from msgspec import UNSET, UnsetType

from shared.change import Change, Put
from shared.event import EventType


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
    if not isinstance(change, Put):
        return Document(
            image_id=change.image_id,
            version=change.version,
            deleted=True,
            event_type=change.event_type,
            occurred_at=change.occurred_at,
            arrived_at=change.arrived_at,
            expires_at=change.expires_at,
        )
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
