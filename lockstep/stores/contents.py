"""What the stores hold of one image, whole: to show beside a conflict, and to choose from."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import UNSET
from opensearchpy import OpenSearch
from opensearchpy.exceptions import NotFoundError

from functions.write_to_es.connect import in_sink_words
from functions.write_to_es.document import Head, image_in
from lockstep.console.errors import UserError
from shared.change import Put, Remove
from shared.event import Event, Image, Time, digest
from shared.item import KEY, MalformedItemError, change_in
from shared.sink import RequestFailedError

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient


class Content(msgspec.Struct, frozen=True):
    """An image at one version; `image` is None when it is deleted."""

    version: int
    occurred_at: str
    image: Image | None

    @property
    def digest(self) -> str | None:
        """The image's digest; a removal has none."""
        return None if self.image is None else digest(self.image)

    def same_as(self, other: "Content") -> bool:
        """Whether both say the same, at whatever versions."""
        return self.digest == other.digest

    def fields(self) -> dict[str, Any]:
        """Field by field, as a person compares them."""
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
        """An event that says this of the image, at that version.

        Raises:
            MalformedContentError: it occurred at no time, so that no event can say it.
        """
        try:
            occurred_at = msgspec.convert(self.occurred_at, Time)
        except msgspec.ValidationError as error:
            message = f"image {image_id}: occurred_at is {self.occurred_at!r}: {error}"
            raise MalformedContentError(f"{message}: `--choose this`, or `--mend`") from error
        return Event(
            type="image.deleted" if self.image is None else "image.updated",
            image_id=image_id,
            version=version,
            occurred_at=occurred_at,
            image=UNSET if self.image is None else self.image,
        )


def content_of(event: Event) -> Content:
    """What an event says."""
    occurred_at: str = msgspec.to_builtins(event.occurred_at)
    return Content(event.version, occurred_at, None if event.image is UNSET else event.image)


class MalformedContentError(UserError):
    """A store holds what no sink of ours wrote; says where and what."""


type Lookup = Callable[[str], Content | None]
"""What a store holds of an image, at this moment; a tombstone past its time counts as absence."""


class Stores(msgspec.Struct, frozen=True):
    """Both stores, to look single images up in."""

    table: Lookup
    index: Lookup

    def contents(self, image_id: str) -> Mapping[str, Content | None]:
        """What each store holds of the image."""
        return {"table": self.table(image_id), "index": self.index(image_id)}


def table_lookup(client: "DynamoDBClient", table: str, now: Callable[[], float]) -> Lookup:
    """Looks images up in the table, consistently; `now` is in seconds since 1970.

    A lookup raises RequestFailedError for an answer that does not say what is there.
    """

    def look(image_id: str) -> Content | None:
        # Not GetItem: botocore takes an answer that was cut off for one without an item.
        answer = client.batch_get_item(
            RequestItems={table: {"Keys": [{KEY: {"S": image_id}}], "ConsistentRead": True}}
        )
        if table not in answer.get("Responses", {}):
            raise RequestFailedError(f"table {table}, image {image_id}: not read, try again")
        items = answer["Responses"][table]
        if not items:
            return None
        try:
            change = change_in(items[0])
        except MalformedItemError as error:
            message = f"table {table}, image {image_id}: {error}: `lockstep audit` has more"
            raise MalformedContentError(message) from error
        match change:
            case Put():
                return Content(change.version, change.occurred_at, change.image)
            case Remove() if change.expires_at <= now():
                return None
            case Remove():
                return Content(change.version, change.occurred_at, None)

    return look


def index_lookup(client: OpenSearch, alias: str, now: Callable[[], float]) -> Lookup:
    """Looks images up in the index, also those written since the last refresh.

    A lookup raises RequestFailedError for an answer that does not say what is there.
    """

    def look(image_id: str) -> Content | None:
        try:
            with in_sink_words(alias):
                answer = client.mget(index=alias, body={"ids": [image_id]})
        except NotFoundError:
            return None
        # opensearch-py hands over an answer that was cut off as text.
        if not isinstance(answer, dict):
            raise RequestFailedError(f"index {alias}, image {image_id}: not read, try again")
        (found,) = answer["docs"]
        if not found.get("found"):
            return None
        try:
            head = msgspec.convert(found["_source"], Head)
            if not head.deleted:
                return Content(head.version, head.occurred_at, image_in(found["_source"]))
        except (msgspec.ValidationError, KeyError) as error:
            message = f"index {alias}, image {image_id}: {error}: `lockstep audit` has more"
            raise MalformedContentError(message) from error
        if head.expires_at is not UNSET and head.expires_at <= now():
            return None
        return Content(head.version, head.occurred_at, None)

    return look
