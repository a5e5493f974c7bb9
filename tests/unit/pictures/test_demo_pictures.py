"""The drawn pictures in `data/pictures` say what the list of scenes says, in each script."""

import unicodedata
from datetime import UTC, datetime
from pathlib import Path

import pytest

from lockstep.pictures.reading import PictureSettings, read_picture
from tools.demo_pictures.drawing import HEIGHT, WIDTH
from tools.demo_pictures.scenes import SCENES, Scene
from tools.demo_pictures.writing import content_of

FOLDER = Path(__file__).parents[3] / "data" / "pictures"


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.file)
def test_a_picture_says_what_its_scene_says(scene: Scene) -> None:
    with (FOLDER / scene.file).open("rb") as file:
        picture = read_picture(file, PictureSettings(zone=UTC))
    assert picture.notes == ()
    assert (picture.width, picture.height) == (WIDTH, HEIGHT)
    # EXIF has no title, and IPTC or XMP is in each file.
    assert (picture.title, picture.caption) == (scene.title, scene.caption)
    assert (picture.author, picture.keywords) == (scene.author, scene.keywords)
    assert picture.taken_at == datetime.strptime(scene.taken + scene.offset, "%Y:%m:%d %H:%M:%S%z")
    assert picture.camera
    assert picture.lens


@pytest.mark.parametrize("kind", ["jpg", "png", "webp", "avif"])
def test_the_same_scene_is_always_the_same_file(kind: str) -> None:
    scene = next(scene for scene in SCENES if scene.file.endswith(kind))
    assert content_of(scene) == content_of(scene)


def test_the_folder_has_exactly_these_pictures_and_is_small() -> None:
    files = {file.name: file.stat().st_size for file in FOLDER.iterdir()}
    assert files.keys() == {scene.file for scene in SCENES}
    assert sum(files.values()) < 1_500_000


def test_they_are_in_many_scripts() -> None:
    scripts = {
        unicodedata.name(letter).split()[0]
        for scene in SCENES
        for letter in scene.title
        if letter.isalpha()
    }
    assert len(scripts) == 15
