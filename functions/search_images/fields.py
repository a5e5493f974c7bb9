"""The allow-list of the fields that a query may name."""

from collections.abc import Mapping

import msgspec


class Text(msgspec.Struct, frozen=True):
    """A text field. A subfield has the stems of its words."""

    path: str


class Keyword(msgspec.Struct, frozen=True):
    """A field that holds one value. A query may leave out `optional_prefix`."""

    path: str
    optional_prefix: str = ""


class Attribute(msgspec.Struct, frozen=True):
    """An attribute, by its name."""

    name: str


type Field = Text | Keyword | Attribute

# The keys are the names before the colon in a query, in lower case.
BY_NAME: Mapping[str, Field] = {
    "name": Text("name"),
    "description": Text("description"),
    "tag": Text("tags"),
    "tags": Text("tags"),
    "uploaded_by": Keyword("uploaded_by"),
    "content_type": Keyword("content_type", optional_prefix="image/"),
    "id": Keyword("image_id"),
    "image_id": Keyword("image_id"),
}

ATTRIBUTES = "attributes"
ATTRIBUTE_NAME = f"{ATTRIBUTES}.name"
ATTRIBUTE_VALUE = f"{ATTRIBUTES}.value"


def field_named(typed: str) -> Field:
    """The field with this name in a query: a field of the image, or else an attribute."""
    return BY_NAME.get(typed.lower(), Attribute(typed))
