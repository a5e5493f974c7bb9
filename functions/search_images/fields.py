"""The fields that a reader may ask in and see: an allow-list, nothing else is ever named."""

from collections.abc import Mapping

import msgspec


class Text(msgspec.Struct, frozen=True):
    """A field of words, with their stems in a subfield."""

    path: str


class Keyword(msgspec.Struct, frozen=True):
    """A field that is one value. A person may leave out what stands in front of it."""

    path: str
    in_front: str = ""


class Attribute(msgspec.Struct, frozen=True):
    """One of the users' own fields, by its name."""

    name: str


type Field = Text | Keyword | Attribute

# By what a person types in front of a colon, in lower case.
BY_NAME: Mapping[str, Field] = {
    "name": Text("name"),
    "description": Text("description"),
    "tag": Text("tags"),
    "tags": Text("tags"),
    "uploaded_by": Keyword("uploaded_by"),
    "content_type": Keyword("content_type", in_front="image/"),
    "id": Keyword("image_id"),
    "image_id": Keyword("image_id"),
}

# What a hit is made of.
SHOWN = (
    "name",
    "version",
    "description",
    "url",
    "content_type",
    "width",
    "height",
    "uploaded_by",
    "taken_at",
    "tags",
    "attributes",
)

ATTRIBUTES = "attributes"
ATTRIBUTE_NAME = f"{ATTRIBUTES}.name"
ATTRIBUTE_VALUE = f"{ATTRIBUTES}.value"


def field(typed: str) -> Field:
    """The field that a person means: one of the image's, else one of the users' own."""
    return BY_NAME.get(typed.lower(), Attribute(typed))
