"""The content that each store holds of one image, so that an operator can settle a conflict."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import UNSET
from opensearchpy import OpenSearch
from opensearchpy.exceptions import NotFoundError

from functions.write_to_es.connect import sink_errors
from functions.write_to_es.document import MalformedDocumentError, change_in_document
from lockstep.console.errors import UserError
from shared.change import Put, Remove, StoredChange
from shared.event import Event, Image, Time, digest
from shared.item import KEY, MalformedItemError, change_in_item
from shared.sink import RequestFailedError

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient


class Content(msgspec.Struct, frozen=True):
    """An image at one version; `image` is None if it is deleted.

    `arrived_at` is the arrival of what a store holds, in milliseconds since 1970.
    """

    version: int
    occurred_at: str
    image: Image | None
    arrived_at: int = 0

    @property
    def digest(self) -> str | None:
        """The digest of the image; None if it is deleted."""
        return None if self.image is None else digest(self.image)

    def same_as(self, other: "Content") -> bool:
        """Whether both have the same content, whatever their versions."""
        return self.digest == other.digest

    def fields(self) -> dict[str, Any]:
        """The fields by name, for a person to compare."""
        plain: dict[str, Any] = {} if self.image is None else msgspec.to_builtins(self.image)
        attributes = plain.pop("attributes", {})
        return {
            "version": self.version,
            "occurred_at": self.occurred_at,
            "deleted": self.image is None,
            **plain,
            **{f"attributes.{name}": value for name, value in attributes.items()},
        }

    def event(self, image_id: str, version: int) -> Event:
        """The event that makes this the content of the image, at that version.

        Raises:
            MalformedContentError: `occurred_at` is not a time, so there is no such event.
        """
        try:
            occurred_at = msgspec.convert(self.occurred_at, Time)
        except msgspec.ValidationError as error:
            message = f"image {image_id}: occurred_at is {self.occurred_at!r}: {error}"
            raise MalformedContentError(f"{message}: use `--choose this` or `--mend`") from error
        return Event(
            type="image.deleted" if self.image is None else "image.updated",
            image_id=image_id,
            version=version,
            occurred_at=occurred_at,
            image=UNSET if self.image is None else self.image,
        )


def content_of(event: Event) -> Content:
    """The content in an event."""
    occurred_at: str = msgspec.to_builtins(event.occurred_at)
    return Content(event.version, occurred_at, None if event.image is UNSET else event.image)


class MalformedContentError(UserError):
    """A store holds something that no sink of ours wrote; the message says where and what."""


type ContentLookup = Callable[[str], Content | None]
"""What a store holds of an image now; None if it holds nothing or an expired tombstone."""


class ContentReader(msgspec.Struct, frozen=True):
    """Looks up single images in both stores."""

    table: ContentLookup
    index: ContentLookup

    def contents(self, image_id: str) -> Mapping[str, Content | None]:
        """What each store holds of the image."""
        return {"table": self.table(image_id), "index": self.index(image_id)}


def table_lookup(client: "DynamoDBClient", table: str, now: Callable[[], float]) -> ContentLookup:
    """Looks up images in the table, consistently; `now` is in seconds since 1970.

    A lookup raises RequestFailedError if the response is incomplete, and MalformedContentError if
    no sink of ours wrote what is stored.
    """

    def lookup(image_id: str) -> Content | None:
        # Not GetItem: botocore returns a truncated response as one without an item.
        answer = client.batch_get_item(
            RequestItems={table: {"Keys": [{KEY: {"S": image_id}}], "ConsistentRead": True}}
        )
        where = f"table {table}, image {image_id}"
        if table not in answer.get("Responses", {}):
            raise RequestFailedError(f"{where}: the response was truncated: try again")
        items = answer["Responses"][table]
        return _content(where, change_in_item, items[0], now()) if items else None

    return lookup


def index_lookup(client: OpenSearch, alias: str, now: Callable[[], float]) -> ContentLookup:
    """Looks up images in the index, also those written since the last refresh.

    A lookup raises RequestFailedError if the response is incomplete, and MalformedContentError if
    no sink of ours wrote what is stored.
    """

    def lookup(image_id: str) -> Content | None:
        try:
            with sink_errors(alias):
                answer = client.mget(index=alias, body={"ids": [image_id]})
        except NotFoundError:
            return None
        where = f"index {alias}, image {image_id}"
        # opensearch-py returns a truncated response as text.
        if not isinstance(answer, dict):
            raise RequestFailedError(f"{where}: the response was truncated: try again")
        (found,) = answer["docs"]
        if not found.get("found"):
            return None
        return _content(where, change_in_document, found.get("_source", {}), now())

    return lookup


def _content[T](
    where: str, change_in: Callable[[T], StoredChange], stored: T, now: float
) -> Content | None:
    try:
        change = change_in(stored)
    except (MalformedItemError, MalformedDocumentError) as error:
        message = f"{where}: {error}: run `lockstep audit` for details"
        raise MalformedContentError(message) from error
    match change:
        case Put():
            return Content(change.version, change.occurred_at, change.image, change.arrived_at)
        case Remove() if change.expires_at <= now:
            return None
        case Remove():
            return Content(change.version, change.occurred_at, None, change.arrived_at)
