"""Which files an upload takes: order, patterns, hidden files, links."""

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockstep.pictures.folder import (
    FileFilter,
    FolderError,
    FoundFile,
    LeftOut,
    files_of,
)

ALL = FileFilter()


def make(folder: Path, *paths: str) -> Path:
    for path in paths:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(b"")
    return folder


def paths(folder: Path, wanted: FileFilter = ALL) -> list[str]:
    return [one.path for one in files_of([folder], wanted) if isinstance(one, FoundFile)]


def test_files_of_a_folder_come_in_the_order_of_their_paths(tmp_path: Path) -> None:
    make(tmp_path, "b.jpg", "a/z.jpg", "a-b.jpg", "a/b/c.jpg", "a.jpg", "B.jpg", "é.jpg", "a/é.jpg")
    found = paths(tmp_path)
    assert found == sorted(found)
    assert len(found) == 8


@given(st.sets(st.text("ab-./é", min_size=1, max_size=6), max_size=8))
def test_the_order_is_that_of_the_paths_whatever_the_names(names: set[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            parts = [part for part in name.split("/") if part.strip(".")]
            path = Path(folder, *[f"x{part}" for part in parts], "f.jpg")
            make(path.parent, path.name)
        found = paths(Path(folder))
        assert found == sorted(found)
        assert len(found) == sum(1 for file in Path(folder).rglob("*") if file.is_file())


def test_a_file_that_is_named_is_taken_whatever_the_patterns_say(tmp_path: Path) -> None:
    make(tmp_path, ".hidden.txt")
    named = tmp_path / ".hidden.txt"
    wanted = FileFilter(include=("*.jpg",), exclude=("*",))
    assert list(files_of([named], wanted)) == [FoundFile(named, ".hidden.txt")]


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (FileFilter(include=("*.jpg",)), ["2023/b.JPG", "2024/raw/c.jpg", "a.jpg"]),
        (FileFilter(include=("2024/*",)), ["2024/d.png", "2024/raw/c.jpg"]),
        (FileFilter(exclude=("raw",)), ["2023/b.JPG", "2024/d.png", "a.jpg"]),
        (FileFilter(exclude=("2023/*", "*.png")), ["2024/raw/c.jpg", "a.jpg"]),
        (FileFilter(include=("*.jpg",), exclude=("a*",)), ["2023/b.JPG", "2024/raw/c.jpg"]),
        (FileFilter(include=("[ab].jp?",)), ["2023/b.JPG", "a.jpg"]),
    ],
)
def test_patterns_choose_files_by_name_or_by_path(
    tmp_path: Path, wanted: FileFilter, expected: list[str]
) -> None:
    make(tmp_path, "a.jpg", "2023/b.JPG", "2024/raw/c.jpg", "2024/d.png")
    assert paths(tmp_path, wanted) == expected


def test_hidden_files_are_taken_only_on_request_and_those_of_systems_never(tmp_path: Path) -> None:
    make(tmp_path, ".a.jpg", ".git/b.jpg", "c.jpg", "Thumbs.db", "__MACOSX/d.jpg", "@eaDir/e.jpg")
    assert paths(tmp_path) == ["c.jpg"]
    assert paths(tmp_path, FileFilter(hidden=True)) == [".a.jpg", ".git/b.jpg", "c.jpg"]


def test_a_hidden_folder_that_is_named_is_read(tmp_path: Path) -> None:
    make(tmp_path, ".photos/a.jpg")
    assert paths(tmp_path / ".photos") == ["a.jpg"]


def test_a_link_to_a_file_is_followed_and_one_to_a_folder_is_not(tmp_path: Path) -> None:
    elsewhere = make(tmp_path / "elsewhere", "a.jpg", "b.jpg")
    folder = make(tmp_path / "folder", "c.jpg")
    (folder / "linked.jpg").symlink_to(elsewhere / "a.jpg")
    (folder / "linked").symlink_to(elsewhere)
    (folder / "circle").symlink_to(folder)
    (folder / "lost.jpg").symlink_to(elsewhere / "gone.jpg")
    assert list(files_of([folder], ALL)) == [
        FoundFile(folder / "c.jpg", "c.jpg"),
        LeftOut(folder / "circle", "a link to a folder: name that folder itself"),
        LeftOut(folder / "linked", "a link to a folder: name that folder itself"),
        FoundFile(folder / "linked.jpg", "linked.jpg"),
        LeftOut(folder / "lost.jpg", "a link to a file that is not there"),
    ]


def test_a_file_is_taken_once_although_it_is_reached_twice(tmp_path: Path) -> None:
    folder = make(tmp_path / "folder", "a.jpg", "b/c.jpg")
    (folder / "d.jpg").symlink_to(folder / "a.jpg")
    found = list(files_of([folder / "b", folder, folder / "a.jpg"], ALL))
    assert found == [
        FoundFile(folder / "b" / "c.jpg", "c.jpg"),
        FoundFile(folder / "a.jpg", "a.jpg"),
    ]


def test_what_is_neither_file_nor_folder_is_left_out_with_a_reason(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    assert list(files_of([tmp_path], ALL)) == [
        LeftOut(tmp_path / "pipe.jpg", "neither a file nor a folder")
    ]
    with pytest.raises(FolderError, match=r"pipe\.jpg is neither a file nor a folder$"):
        list(files_of([tmp_path / "pipe.jpg"], ALL))


def test_a_path_that_is_not_there_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(FolderError, match=r"gone\.jpg is not there$"):
        list(files_of([tmp_path / "gone.jpg"], ALL))
    (tmp_path / "lost.jpg").symlink_to("gone.jpg")
    with pytest.raises(FolderError, match=r"lost\.jpg is a link to gone\.jpg, which is not there$"):
        list(files_of([tmp_path / "lost.jpg"], ALL))
