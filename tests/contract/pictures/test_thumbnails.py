"""Thumbnails follow the bucket of pictures, whatever happens meanwhile, on a real S3 endpoint."""

import hashlib
import io
from collections.abc import Callable
from typing import IO, Any

import pytest
from PIL import Image as Pixels

from lockstep.make_thumbnails.keeping import ThumbnailBucket, ThumbnailKeeper
from lockstep.make_thumbnails.outcome import Drawn, NotDrawn
from lockstep.make_thumbnails.sandbox import draw_in_sandbox
from lockstep.pictures.bucket.aligner import ForeignKeyError, RestlessKeyError
from lockstep.pictures.bucket.objects import BucketPictures
from lockstep.pictures.reading import PictureSettings
from shared.picture_ids import PREFIX, id_of_key
from tests.contract.pictures.conftest import Place, picture

KEY = PREFIX + "a.jpg"
DRAWN = Drawn({320: b"small", 1600: b"large"})


class Thumbs:
    """A bucket of thumbnails beside the pictures of a place."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.name = f"{place.name}-thumbs"
        place.s3.create_bucket(Bucket=self.name)
        self.bucket = ThumbnailBucket(place.s3, self.name)
        self.drawn = 0

    def keeper(
        self, draw: Callable[[IO[bytes]], Drawn | NotDrawn] | None = None, **settings: Any
    ) -> ThumbnailKeeper:
        def counted(file: IO[bytes]) -> Drawn | NotDrawn:
            self.drawn += 1
            return DRAWN if draw is None else draw(file)

        pictures = BucketPictures(self.place.s3, self.place.name, PictureSettings(zone=None))  # type: ignore[arg-type]  # reads no time
        return ThumbnailKeeper(
            pictures, self.bucket, counted, **{"checksum_bytes": 10**9} | settings
        )

    def stored(self) -> set[str]:
        listed = self.place.s3.list_objects_v2(Bucket=self.name)
        return {one["Key"] for one in listed.get("Contents", ())}

    def get(self, key: str) -> Any:
        return self.place.s3.get_object(Bucket=self.name, Key=key)


@pytest.fixture
def thumbs(place: Place) -> Thumbs:
    return Thumbs(place)


def keys_for(content: bytes, image_id: str = "a.jpg") -> set[str]:
    digest = hashlib.sha256(content).hexdigest()
    return {f"{image_id}/{digest}-{side}.webp" for side in (320, 1600)}


def test_a_picture_gets_both_thumbnails_and_a_second_look_makes_none(thumbs: Thumbs) -> None:
    content = picture()
    thumbs.place.upload("a.jpg", content)
    keeper = thumbs.keeper(draw_in_sandbox)
    assert [keeper.keep(KEY), keeper.keep(KEY)] == ["drawn", "unchanged"]
    assert thumbs.stored() == keys_for(content)
    for key in thumbs.stored():
        answer = thumbs.get(key)
        assert Pixels.open(io.BytesIO(answer["Body"].read())).size == (8, 6)
        assert (answer["ContentType"], answer["CacheControl"]) == (
            "image/webp",
            "private, max-age=900",
        )
        assert answer["Metadata"] == {}
    assert thumbs.drawn == 1


def test_a_replaced_picture_loses_its_old_thumbnails_and_a_deleted_one_all(thumbs: Thumbs) -> None:
    keeper = thumbs.keeper()
    thumbs.place.upload("a.jpg", picture("red"))
    thumbs.place.upload("b.jpg", picture("green"))
    keeper.keep(PREFIX + "b.jpg")
    others = thumbs.stored()
    keeper.keep(KEY)
    thumbs.place.upload("a.jpg", picture("blue"))
    assert keeper.keep(KEY) == "drawn"
    assert thumbs.stored() == keys_for(picture("blue")) | others
    thumbs.place.remove("a.jpg")
    assert [keeper.keep(KEY), keeper.keep(KEY)] == ["removed", "unchanged"]
    assert thumbs.stored() == others


def test_an_image_whose_id_begins_with_that_of_another_keeps_its_own(thumbs: Thumbs) -> None:
    keeper = thumbs.keeper()
    for name in ("a", "a.jpg"):
        thumbs.place.upload(name, picture())
        keeper.keep(PREFIX + name)
    thumbs.place.remove("a")
    keeper.keep(PREFIX + "a")
    assert thumbs.stored() == keys_for(picture())


def test_what_is_missing_is_made_again(thumbs: Thumbs) -> None:
    keeper = thumbs.keeper()
    thumbs.place.upload("a.jpg", picture())
    keeper.keep(KEY)
    thumbs.bucket.remove(min(thumbs.stored()))
    assert keeper.keep(KEY) == "drawn"
    assert thumbs.stored() == keys_for(picture())


def test_a_picture_that_cannot_be_shown_has_the_reason_in_its_metadata(thumbs: Thumbs) -> None:
    svg = b"<svg xmlns='http://www.w3.org/2000/svg'/>"
    thumbs.place.upload("a.svg", svg)
    keeper = thumbs.keeper(draw_in_sandbox)
    assert keeper.keep(PREFIX + "a.svg") == "not drawn"
    assert keeper.keep(PREFIX + "a.svg") == "unchanged"
    assert thumbs.stored() == keys_for(svg, "a.svg")
    for key in thumbs.stored():
        answer = thumbs.get(key)
        assert answer["Body"].read() == b""
        assert answer["Metadata"] == {
            "reason": "an SVG file: only pictures of pixels have a thumbnail"
        }


def test_a_reason_with_other_characters_is_still_metadata(thumbs: Thumbs) -> None:
    thumbs.place.upload("a.jpg", picture())
    thumbs.keeper(lambda _: NotDrawn("über\n\u202e alles")).keep(KEY)
    assert thumbs.get(max(thumbs.stored()))["Metadata"] == {"reason": "?ber ? alles"}


@pytest.mark.parametrize("content", [b"%PDF-1.7", b"", b"no picture"])
def test_what_is_no_picture_has_nothing_and_takes_nothing_along(
    thumbs: Thumbs, content: bytes
) -> None:
    keeper = thumbs.keeper()
    thumbs.place.upload("a.jpg", picture())
    keeper.keep(KEY)
    thumbs.place.upload("a.jpg", content)
    assert keeper.keep(KEY) == "removed"
    assert thumbs.stored() == set()
    assert thumbs.drawn == 1


def test_a_picture_without_a_checksum_has_no_thumbnail(thumbs: Thumbs) -> None:
    thumbs.place.upload("a.jpg", picture())
    assert thumbs.keeper(checksum_bytes=10).keep(KEY) == "unchanged"
    assert thumbs.stored() == set()


def test_a_key_in_another_place_is_left_alone(thumbs: Thumbs) -> None:
    with pytest.raises(ForeignKeyError):
        thumbs.keeper().keep("elsewhere/a.jpg")


def test_an_id_in_the_derived_form_is_a_key_as_it_is(thumbs: Thumbs) -> None:
    thumbs.place.upload("2024/Été 1.jpg", picture())
    thumbs.keeper().keep(PREFIX + "2024/Été 1.jpg")
    image_id = id_of_key("2024/Été 1.jpg")
    assert ":sha256-" in image_id
    assert thumbs.stored() == keys_for(picture(), image_id)


def test_a_slow_process_with_an_old_picture_does_not_win(thumbs: Thumbs) -> None:
    """It draws the old picture while the new one comes and gets its thumbnails from another."""
    old, new = picture("red"), picture("blue")
    thumbs.place.upload("a.jpg", old)

    def slow(file: IO[bytes]) -> Drawn:
        if file.read() == old:
            thumbs.place.upload("a.jpg", new)
            assert thumbs.keeper().keep(KEY) == "drawn"
            assert thumbs.stored() == keys_for(new)
        return DRAWN

    assert thumbs.keeper(slow).keep(KEY) == "unchanged"
    assert thumbs.stored() == keys_for(new)


def test_a_picture_that_is_deleted_while_it_is_drawn_leaves_nothing(thumbs: Thumbs) -> None:
    thumbs.place.upload("a.jpg", picture())

    def slow(_: IO[bytes]) -> Drawn:
        thumbs.place.remove("a.jpg")
        return DRAWN

    assert thumbs.keeper(slow).keep(KEY) == "removed"
    assert thumbs.stored() == set()


def test_a_picture_that_keeps_changing_comes_again(thumbs: Thumbs) -> None:
    number = iter(range(100))
    thumbs.place.upload("a.jpg", picture())

    def changing(_: IO[bytes]) -> Drawn:
        thumbs.place.upload("a.jpg", picture(title=str(next(number))))
        return DRAWN

    with pytest.raises(RestlessKeyError, match="changed each of 5 times"):
        thumbs.keeper(changing).keep(KEY)
