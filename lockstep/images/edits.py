"""Edits of an image: fields, tags and attributes that are set or removed."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, cast

import msgspec

from lockstep.console.errors import UserError
from shared.event import Image, InvalidEventError, decode
from shared.refusal import lone_surrogate

ATTRIBUTE = "attributes."
# Their values are whole numbers in an event.
_NUMBERS = frozenset({"size_bytes", "width", "height"})
# Longer ones are refused in any form, and Python does not convert all of them.
_WHOLE_NUMBER = re.compile(r"-?[0-9]{1,20}", re.ASCII)
# What the reason of a refusal says about files, which an edit does not read.
_FOR_FILES = re.compile(r" \((?:in )?a mapping file[^)]*\)")
# An event in which an image is validated; its other fields do not matter.
_AROUND = {
    "type": "image.updated",
    "image_id": "x",
    "version": 1,
    "occurred_at": "2026-11-21T08:00:00Z",
}


class EditError(UserError):
    """An image cannot be edited so; the message says what to write instead."""


class Edit(msgspec.Struct, frozen=True):
    """What is changed of an image.

    `values` are set, by the names of their fields; `attributes.NAME` is an attribute. `unset` are
    the names of fields and attributes that are removed. Tags keep their order; new ones come last.
    """

    values: Mapping[str, str] = {}
    unset: Sequence[str] = ()
    add_tags: Sequence[str] = ()
    remove_tags: Sequence[str] = ()

    def __post_init__(self) -> None:
        """Refuse what contradicts itself.

        Raises:
            EditError: a field is not one of an image, or is both set and removed.
        """
        for name in (*self.values, *self.unset):
            _check_name(name)
        for name in ("tags", "attributes"):
            if name in self.values:
                raise EditError(f"{name}: {_INSTEAD[name]}")
        both = [name for name in self.values if {name, name.partition(".")[0]} & {*self.unset}]
        both += [tag for tag in self.add_tags if tag in self.remove_tags]
        if self.add_tags and "tags" in self.unset:
            both.append("tags")
        if both:
            raise EditError(f"{both[0]}: set and removed at once: give one of both")

    def edited(self, image: Image) -> Image:
        """The image after this edit.

        Raises:
            EditError: the rules for events refuse it.
        """
        fields: dict[str, Any] = msgspec.to_builtins(image)
        attributes = dict(fields.pop("attributes", {}))
        tags = [one for one in fields.pop("tags", ()) if one not in self.remove_tags]
        tags += [one for one in dict.fromkeys(self.add_tags) if one not in tags]
        for name in self.unset:
            if name == "attributes":
                attributes.clear()
            elif name == "tags":
                tags.clear()
            elif name.startswith(ATTRIBUTE):
                attributes.pop(name.removeprefix(ATTRIBUTE), None)
            else:
                fields.pop(name, None)
        for name, value in self.values.items():
            if name.startswith(ATTRIBUTE):
                attributes[name.removeprefix(ATTRIBUTE)] = value
            else:
                fields[name] = _value(name, value)
        # Without tags or attributes, an image may have an empty field or none: it stays as it is.
        if tags or (image.tags == () and "tags" not in self.unset):
            fields["tags"] = tags
        if attributes or (image.attributes == {} and "attributes" not in self.unset):
            fields["attributes"] = attributes
        return _validated(fields)


_INSTEAD = {
    "tags": "use --add-tag and --remove-tag",
    "attributes": f"write {ATTRIBUTE}NAME=VALUE",
}


def _check_name(name: str) -> None:
    if name.startswith(ATTRIBUTE) and name != ATTRIBUTE:
        return
    if name not in Image.__struct_fields__:
        known = ", ".join(one for one in Image.__struct_fields__ if one != "attributes")
        raise EditError(f"an image has no field {name!r}: it has {known}, and {ATTRIBUTE}NAME")


def _value(name: str, text: str) -> str | int:
    """The value of a field. The validator refuses a number that is none."""
    return int(text) if name in _NUMBERS and _WHOLE_NUMBER.fullmatch(text) else text


def _validated(fields: Mapping[str, Any]) -> Image:
    try:
        event = decode(_encoded({**_AROUND, "image": fields}))
    except InvalidEventError as invalid:
        raise EditError(_FOR_FILES.sub("", invalid.detail)) from None
    return cast("Image", event.image)  # an update has one


def _encoded(event: Mapping[str, Any]) -> bytes:
    try:
        return msgspec.json.encode(event)
    except UnicodeEncodeError:
        raise lone_surrogate() from None
