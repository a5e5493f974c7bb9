"""The image of an event from what a picture says of itself, within the limits of an event."""

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec
from msgspec import UNSET

from lockstep.console.errors import UserError
from lockstep.pictures.notes import PictureNote, TakeNote
from lockstep.pictures.reading import Picture
from lockstep.pictures.texts import in_one_line
from shared.event import (
    MAX_ATTRIBUTES,
    MAX_DESCRIPTION_BYTES,
    MAX_EVENT_BYTES,
    MAX_TAGS,
    MAX_VALUE_BYTES,
    Image,
)

# The rest of an event: its id, type, version and time.
MAX_IMAGE_BYTES: Final = MAX_EVENT_BYTES - 1024
_CUT = "…"


class GivenFields(msgspec.Struct, frozen=True):
    """What is known of a picture from elsewhere. It is taken as it is, and counts first.

    Attributes:
        file_name: the last part of its key or path; the name of an image without a title.
        url: where the picture is.
        size_bytes: of a picture that was not read to its end.
        uploaded_by: who uploads it.
        tags: before the picture's own keywords.
        attributes: instead of the picture's own ones with the same names.
    """

    file_name: str
    url: str | None = None
    size_bytes: int | None = None
    uploaded_by: str | None = None
    tags: tuple[str, ...] = ()
    attributes: Mapping[str, str] = {}


class DescribedImage(msgspec.Struct, frozen=True):
    """An image, and what was left out of it: also the notes of the picture itself."""

    image: Image
    notes: tuple[PictureNote, ...]


class GivenTooMuchError(UserError):
    """What is given beside a picture does not fit into an event."""


def image_of(picture: Picture, given: GivenFields) -> DescribedImage:
    """Make the image of an event. What is too long for one is shortened or left out, with a note.

    Raises:
        GivenTooMuchError: what is given is too much by itself.
    """
    notes = list(picture.notes)

    def note(field: str, why: str) -> None:
        notes.append(PictureNote(field, why))

    image = Image(
        name=_name(picture, given, note),
        description=_shortened("description", picture.caption, MAX_DESCRIPTION_BYTES, note)
        or UNSET,
        url=_or_unset(given.url),
        content_type=picture.format.content_type,
        size_bytes=_or_unset(picture.size_bytes, given.size_bytes),
        width=_or_unset(picture.width),
        height=_or_unset(picture.height),
        checksum=_or_unset(picture.checksum),
        uploaded_by=_or_unset(given.uploaded_by),
        taken_at=_or_unset(picture.taken_at),
        tags=_tags(given.tags, picture.keywords, note) or UNSET,
        attributes=_attributes(picture, given, note) or UNSET,
    )
    return DescribedImage(_within_event(image, given, note), tuple(dict.fromkeys(notes)))


def _or_unset[T](*values: T | None) -> T | msgspec.UnsetType:
    return next((value for value in values if value is not None), UNSET)


def _name(picture: Picture, given: GivenFields, note: TakeNote) -> str:
    """The title; without one the file's name, without its end."""
    stem, dot, _ = given.file_name.rpartition(".")
    name = picture.title or in_one_line(stem if dot and stem else given.file_name) or "untitled"
    return _shortened("name", name, MAX_VALUE_BYTES, note)


def _tags(given: tuple[str, ...], keywords: Iterable[str], note: TakeNote) -> tuple[str, ...]:
    tags = dict.fromkeys(given)
    if len(tags) > MAX_TAGS:
        raise GivenTooMuchError(f"{len(tags):,} tags are given: an image has at most {MAX_TAGS}")
    left_out = 0
    for keyword in keywords:
        if len(keyword.encode()) > MAX_VALUE_BYTES:
            note("tags", f"a keyword of more than {MAX_VALUE_BYTES:,} bytes is left out")
        elif keyword not in tags and len(tags) >= MAX_TAGS:
            left_out += 1
        else:
            tags[keyword] = None
    if left_out:
        note("tags", f"{left_out:,} keywords are left out: an image has at most {MAX_TAGS} tags")
    return tuple(tags)


def _attributes(picture: Picture, given: GivenFields, note: TakeNote) -> dict[str, str]:
    own = {"camera": picture.camera, "lens": picture.lens, "author": picture.author}
    if picture.position is not None:
        own["latitude"] = f"{picture.position.latitude:.6f}"
        own["longitude"] = f"{picture.position.longitude:.6f}"
    attributes = dict(given.attributes)
    for name, text in own.items():
        if name in attributes or not text:
            continue
        if len(attributes) >= MAX_ATTRIBUTES:
            note(name, f"left out: an image has at most {MAX_ATTRIBUTES} attributes")
        else:
            attributes[name] = _shortened(name, text, MAX_VALUE_BYTES, note)
    return attributes


def _shortened(field: str, text: str, most: int, note: TakeNote) -> str:
    """The text in at most so many bytes of UTF-8."""
    data = text.encode()
    if len(data) <= most:
        return text
    note(field, f"shortened: {len(data):,} bytes of UTF-8, at most {most:,}")
    return data[: most - len(_CUT.encode())].decode(errors="ignore").rstrip() + _CUT


def _within_event(image: Image, given: GivenFields, note: TakeNote) -> Image:
    """The image without its last keywords, if it is too large for an event with them."""
    size = len(msgspec.json.encode(image))
    if size <= MAX_IMAGE_BYTES:
        return image
    kept = list(image.tags or ())
    while size > MAX_IMAGE_BYTES and len(kept) > len(dict.fromkeys(given.tags)):
        size -= len(msgspec.json.encode(kept.pop())) + 1
    if size > MAX_IMAGE_BYTES:
        raise GivenTooMuchError(
            f"the tags and attributes given are too long: an event has at most "
            f"{MAX_EVENT_BYTES:,} bytes"
        )
    left_out = len(image.tags or ()) - len(kept)
    note("tags", f"{left_out:,} keywords are left out: the event would be too long")
    return msgspec.structs.replace(image, tags=tuple(kept))
