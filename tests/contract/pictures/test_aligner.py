"""Keys of a real bucket are brought in line: row, object, image table and stream together."""

import hashlib
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError
from msgspec import UNSET

from lockstep.pictures.alignment import CountedVersionError
from lockstep.pictures.bucket.aligner import (
    MOST_STARTS,
    ForeignKeyError,
    GivenByUpload,
    RestlessKeyError,
)
from shared.event import Event, Image
from shared.horizon import HORIZON
from shared.picture_ids import PREFIX
from tests.contract.pictures.conftest import NOW, Place, picture

KEY = PREFIX + "a.jpg"
STAMP = int(NOW * 1_000_000)


def _image(event: Event) -> Image:
    assert isinstance(event.image, Image)
    return event.image


def test_an_upload_an_overwrite_and_a_deletion_are_one_event_each(place: Place) -> None:
    aligner = place.aligner()
    first, second = picture("red", "First"), picture("blue", "Second")
    for body, outcome in ((first, "put"), (second, "put"), (None, "deleted")):
        if body is None:
            place.remove("a.jpg")
        else:
            place.upload("a.jpg", body)
        assert [aligner.align(KEY), aligner.align(KEY)] == [outcome, "unchanged"]
    uploaded, updated, deleted = place.events()
    assert [(event.type, event.version) for event in (uploaded, updated, deleted)] == [
        ("image.uploaded", STAMP),
        ("image.updated", STAMP + 1),
        ("image.deleted", STAMP + 2),
    ]
    image = _image(uploaded)
    assert (image.name, image.url) == ("First", f"s3://{place.name}/{KEY}")
    assert image.checksum == f"sha256:{hashlib.sha256(first).hexdigest()}"
    assert (image.size_bytes, image.width, image.height) == (len(first), 8, 6)
    assert _image(updated).name == "Second"
    assert deleted.image is UNSET


def test_a_row_names_no_image_and_ends_a_horizon_after_its_object(place: Place) -> None:
    place.upload("a.jpg", picture())
    place.aligner().align(KEY)
    (row,) = place.stored_rows()
    assert "a.jpg" not in str(row)
    assert "expires_at" not in row
    assert "event" not in row
    place.remove("a.jpg")
    place.aligner().align(KEY)
    (row,) = place.stored_rows()
    assert row["expires_at"] == {"N": str(int(NOW + HORIZON.total_seconds()))}


class _Hooked:
    """A client that does something before an operation, once."""

    def __init__(self, client: Any, operation: str, act: Callable[[], None]) -> None:
        self._client, self._operation, self._act = client, operation, act
        self._done = False

    def __getattr__(self, name: str) -> Any:
        if name == self._operation and not self._done:
            self._done = True
            self._act()
        return getattr(self._client, name)


def test_what_is_overwritten_while_it_is_read_is_not_put(place: Place) -> None:
    place.upload("a.jpg", picture("red", "First"))
    s3 = place.s3
    place.s3 = _Hooked(s3, "get_object", lambda: place.upload("a.jpg", picture("blue", "Second")))
    assert place.aligner().align(KEY) == "put"
    assert [_image(event).name for event in place.events()] == ["Second"]


class _Restless:
    """A client that tells of another object at each look."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self.looks = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def head_object(self, **asked: Any) -> Any:
        self.looks += 1
        return {**self._client.head_object(**asked), "ETag": f'"{self.looks}"'}


def test_a_key_that_keeps_changing_does_not_keep_the_routine_for_ever(place: Place) -> None:
    place.upload("a.jpg", picture())
    restless = place.s3 = _Restless(place.s3)
    with pytest.raises(RestlessKeyError, match="try again later"):
        place.aligner().align(KEY)
    assert restless.looks == MOST_STARTS
    assert place.events() == []


def test_what_is_deleted_while_it_is_read_is_no_event(place: Place) -> None:
    place.upload("a.jpg", picture())
    place.s3 = _Hooked(place.s3, "get_object", lambda: place.remove("a.jpg"))
    assert place.aligner().align(KEY) == "unchanged"
    assert place.events() == []


def test_two_that_look_at_once_put_one_event_after_the_other(place: Place) -> None:
    """The second runs completely before the first writes its row."""
    place.upload("a.jpg", picture("red", "First"))

    def overwrite() -> None:
        place.upload("a.jpg", picture("blue", "Second"))
        assert place.aligner().align(KEY) == "put"

    slow = place.aligner(dynamodb=_Hooked(place.dynamodb, "put_item", overwrite))
    assert slow.align(KEY) == "unchanged"
    assert [_image(event).name for event in place.events()] == ["Second"]


def test_an_event_whose_put_failed_is_put_later_as_it_was(place: Place) -> None:
    place.upload("a.jpg", picture())

    def fail() -> None:
        raise ConnectionError("the stream does not answer")

    with pytest.raises(ConnectionError):
        place.aligner(kinesis=_Hooked(place.kinesis, "put_record", fail)).align(KEY)
    (row,) = place.stored_rows()
    assert "event" in row
    place.now += 900
    assert place.aligner().align(KEY) == "put"
    assert [event.version for event in place.events()] == [STAMP]


def test_a_version_is_above_that_of_the_image_table(place: Place) -> None:
    stored = {"image_id": {"S": "a.jpg"}, "version": {"N": str(STAMP + 70)}}
    place.dynamodb.put_item(TableName=place.images, Item=stored)
    place.upload("a.jpg", picture())
    place.aligner().align(KEY)
    assert [event.version for event in place.events()] == [STAMP + 71]


def test_an_image_whose_source_counts_its_versions_stays(place: Place) -> None:
    stored = {"image_id": {"S": "a.jpg"}, "version": {"N": "12"}}
    place.dynamodb.put_item(TableName=place.images, Item=stored)
    place.upload("a.jpg", picture())
    with pytest.raises(CountedVersionError, match="version 12"):
        place.aligner().align(KEY)
    assert place.events() == []


def test_what_is_no_picture_is_no_image_and_takes_the_place_of_one(place: Place) -> None:
    place.upload("a.jpg", b"only text")
    assert [place.aligner().align(KEY) for _ in range(2)] == ["no picture", "no picture"]
    place.upload("a.jpg", picture())
    assert place.aligner().align(KEY) == "put"
    place.upload("a.jpg", b"text again")
    assert place.aligner().align(KEY) == "deleted"
    assert [event.type for event in place.events()] == ["image.uploaded", "image.deleted"]


def test_an_upload_adds_what_the_notification_did_not_know(place: Place) -> None:
    place.upload("a.jpg", picture())
    given = GivenByUpload(uploaded_by="mira", tags=("sea",), attributes={"room": "3"})
    outcomes = [place.aligner().align(KEY, one) for one in (None, given, None, given)]
    assert outcomes == ["put", "put", "unchanged", "unchanged"]
    image = _image(place.events()[-1])
    assert (image.uploaded_by, image.tags, image.attributes) == ("mira", ("sea",), {"room": "3"})


def test_a_key_that_is_no_id_has_one(place: Place) -> None:
    place.upload("Straße 1/Bild ä.jpg", picture())
    place.aligner().align(PREFIX + "Straße 1/Bild ä.jpg")
    (event,) = place.events()
    assert event.image_id.startswith("Strae-1-Bild-a.jpg:sha256-")
    assert _image(event).name == "Bild ä"


def test_a_key_elsewhere_is_refused(place: Place) -> None:
    with pytest.raises(ForeignKeyError, match=r"other/a\.jpg is not below pictures/"):
        place.aligner().align("other/a.jpg")


def test_no_picture_is_gone_because_its_bucket_is(place: Place) -> None:
    place.upload("a.jpg", picture())
    place.aligner().align(KEY)
    name, place.name = place.name, f"{place.name}-missing"
    missing = place.aligner()
    place.name = name
    with pytest.raises(ClientError, match="HeadBucket"):
        missing.align(KEY)
    assert [event.type for event in place.events()] == ["image.uploaded"]
