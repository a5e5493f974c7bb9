"""The image of an event from a picture: within the limits, with a note for what is left out."""

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lockstep.pictures.content import JPEG
from lockstep.pictures.exif import GpsPosition
from lockstep.pictures.image import GivenFields, GivenTooMuchError, image_of
from lockstep.pictures.notes import PictureNote
from lockstep.pictures.reading import Picture
from shared.event import (
    MAX_ATTRIBUTES,
    MAX_DESCRIPTION_BYTES,
    MAX_TAGS,
    MAX_VALUE_BYTES,
    Event,
    Image,
    decode,
    encode,
)

TIME = datetime(2024, 5, 1, tzinfo=UTC)
PICTURE = Picture(
    format=JPEG,
    size_bytes=1234,
    checksum="sha256:00",
    width=20,
    height=10,
    taken_at=TIME,
    title="Sunrise",
    caption="The sun rises.",
    author="Ada",
    camera="Canon EOS R5",
    lens="50mm",
    keywords=("sea", "morning"),
)


def test_each_thing_that_a_picture_says_has_its_field() -> None:
    given_fields = GivenFields("a/b.jpg", url="s3://pictures/b.jpg", uploaded_by="u-1")
    described = image_of(PICTURE, given_fields)
    assert described.notes == ()
    assert described.image == Image(
        name="Sunrise",
        description="The sun rises.",
        url="s3://pictures/b.jpg",
        content_type="image/jpeg",
        size_bytes=1234,
        width=20,
        height=10,
        checksum="sha256:00",
        uploaded_by="u-1",
        taken_at=TIME,
        tags=("sea", "morning"),
        attributes={"camera": "Canon EOS R5", "lens": "50mm", "author": "Ada"},
    )


def test_what_a_picture_does_not_say_is_absent() -> None:
    picture = Picture(format=JPEG, size_bytes=None, checksum=None)
    described = image_of(picture, GivenFields("b.jpg", size_bytes=99))
    assert described.image == Image(name="b", content_type="image/jpeg", size_bytes=99)


@pytest.mark.parametrize(
    ("file_name", "name"),
    [
        ("IMG_0001.JPG", "IMG_0001"),
        ("no end", "no end"),
        (".hidden", ".hidden"),
        ("two.dots.tiff", "two.dots"),
        ("海辺.heic", "海辺"),
        ("\x01\n.png", "untitled"),
    ],
)
def test_a_picture_without_a_title_has_the_name_of_its_file(file_name: str, name: str) -> None:
    picture = Picture(format=JPEG, size_bytes=1, checksum="sha256:00")
    assert image_of(picture, GivenFields(file_name)).image.name == name


def test_what_is_given_counts_before_what_the_picture_says() -> None:
    given_fields = GivenFields("b.jpg", tags=("mine", "sea"), attributes={"camera": "mine"})
    image = image_of(PICTURE, given_fields).image
    assert image.tags == ("mine", "sea", "morning")
    assert image.attributes == {"camera": "mine", "lens": "50mm", "author": "Ada"}


def test_a_position_is_two_attributes() -> None:
    picture = Picture(
        format=JPEG, size_bytes=1, checksum="sha256:00", position=GpsPosition(-33.85, 151.2)
    )
    attributes = image_of(picture, GivenFields("b.jpg")).image.attributes
    assert attributes == {"latitude": "-33.850000", "longitude": "151.200000"}


def test_a_text_that_is_too_long_is_shortened_between_characters() -> None:
    picture = Picture(
        format=JPEG,
        size_bytes=1,
        checksum="sha256:00",
        title="é" * MAX_VALUE_BYTES,
        caption="x" * (MAX_DESCRIPTION_BYTES + 1),
        keywords=("k" * (MAX_VALUE_BYTES + 1), "sea"),
    )
    described = image_of(picture, GivenFields("b.jpg"))
    assert described.image.name == "é" * ((MAX_VALUE_BYTES - 3) // 2) + "…"
    assert described.image.description == "x" * (MAX_DESCRIPTION_BYTES - 3) + "…"
    assert described.image.tags == ("sea",)
    assert described.notes == (
        PictureNote("name", "shortened: 16,384 bytes of UTF-8, at most 8,192"),
        PictureNote("description", "shortened: 32,769 bytes of UTF-8, at most 32,768"),
        PictureNote("tags", "a keyword of more than 8,192 bytes is left out"),
    )


def test_keywords_beyond_the_limit_are_left_out_and_counted() -> None:
    keywords = tuple(str(number) for number in range(MAX_TAGS + 5))
    picture = Picture(format=JPEG, size_bytes=1, checksum="sha256:00", keywords=keywords)
    described = image_of(picture, GivenFields("b.jpg", tags=("mine", "1")))
    assert described.image.tags == ("mine", "1", "0", *keywords[2 : MAX_TAGS - 1])
    why = "6 keywords are left out: an image has at most 64 tags"
    assert described.notes == (PictureNote("tags", why),)


def test_attributes_beyond_the_limit_are_left_out() -> None:
    mine = {f"a{number}": "" for number in range(MAX_ATTRIBUTES - 1)}
    described = image_of(PICTURE, GivenFields("b.jpg", attributes=mine))
    assert described.image.attributes == mine | {"camera": "Canon EOS R5"}
    assert [note.field for note in described.notes] == ["lens", "author"]


def test_more_than_an_event_holds_is_an_error_if_it_was_given() -> None:
    with pytest.raises(GivenTooMuchError, match=r"^65 tags are given: an image has at most 64$"):
        image_of(PICTURE, GivenFields("b.jpg", tags=tuple(map(str, range(65)))))
    large = {f"a{number}": "x" * MAX_VALUE_BYTES for number in range(40)}
    with pytest.raises(GivenTooMuchError, match="the tags and attributes given are too long"):
        image_of(PICTURE, GivenFields("b.jpg", attributes=large))


LONG = st.builds(
    str.__mul__, st.sampled_from(["a", '"', "\\", "é", "海", "\U0001f304"]), st.integers(0, 40_000)
)


@settings(max_examples=25)
@given(
    title=LONG,
    caption=LONG,
    camera=LONG,
    author=LONG,
    keywords=st.lists(LONG, max_size=80).map(tuple),
)
def test_the_image_of_any_picture_fits_into_an_event(
    title: str, caption: str, camera: str, author: str, keywords: tuple[str, ...]
) -> None:
    picture = Picture(
        format=JPEG,
        size_bytes=1,
        checksum="sha256:00",
        title=title,
        caption=caption,
        camera=camera,
        author=author,
        keywords=keywords,
    )
    described = image_of(picture, GivenFields("b.jpg", url="s3://" + "k" * 1024))
    event = Event("image.uploaded", "T" * 256, 2**53 - 1, TIME, described.image)
    assert decode(encode(event)) == event
    if described.image.tags != tuple(dict.fromkeys(keywords)) and keywords:
        assert any(note.field == "tags" for note in described.notes)
