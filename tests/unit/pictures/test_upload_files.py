"""Which files an upload sends, under which keys and ids."""

import os
from pathlib import Path

import pytest

from lockstep.pictures.folder import FileFilter, FolderError
from lockstep.pictures.ids import IdRule
from lockstep.pictures.upload.files import FileToSend, files_to_send
from lockstep.pictures.upload.outcomes import RefusedFile
from shared.picture_ids import id_of_key


def _files(folder: Path, rule: IdRule) -> list[FileToSend | RefusedFile]:
    return list(files_to_send([folder], FileFilter(), rule))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for path in ("a/cat.jpg", "b/cat.jpg", "b/dog.jpg"):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_bytes(path.encode())
    return tmp_path


def test_by_path_each_file_has_a_key_of_its_own(folder: Path) -> None:
    found = _files(folder, "path")
    keys = ["pictures/a/cat.jpg", "pictures/b/cat.jpg", "pictures/b/dog.jpg"]
    assert [one.key for one in found if isinstance(one, FileToSend)] == keys
    assert [one.size_bytes for one in found if isinstance(one, FileToSend)] == [9, 9, 9]


def test_by_name_the_second_file_of_an_id_is_refused_and_both_are_named(folder: Path) -> None:
    first, second, third = _files(folder, "name")
    assert isinstance(first, FileToSend)
    assert (first.key, first.path) == ("pictures/cat.jpg", "a/cat.jpg")
    assert isinstance(third, FileToSend)
    assert second == RefusedFile(
        str(folder / "b/cat.jpg"),
        "same_id",
        f"{folder}/b/cat.jpg and {folder}/a/cat.jpg would both be the image cat.jpg",
    )


def test_by_checksum_no_key_is_known_before_the_content(folder: Path) -> None:
    found = _files(folder, "checksum")
    assert [one.key for one in found if isinstance(one, FileToSend)] == [None] * 3


def test_two_named_folders_with_the_same_path_are_one_id(folder: Path) -> None:
    found = list(files_to_send([folder / "a", folder / "b"], FileFilter(), "path"))
    assert [type(one) for one in found] == [FileToSend, RefusedFile, FileToSend]


def test_a_name_that_no_key_can_have_is_refused(tmp_path: Path) -> None:
    name = tmp_path / os.fsdecode(b"caf\xe9.jpg")
    name.write_bytes(b"x")
    (refused,) = _files(tmp_path, "path")
    assert isinstance(refused, RefusedFile)
    assert (refused.reason, "not valid UTF-8" in refused.detail) == ("no_key", True)
    # A key by checksum has no part of the name.
    (taken,) = _files(tmp_path, "checksum")
    assert isinstance(taken, FileToSend)


def test_what_is_left_out_and_could_be_a_picture_is_said(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(folder / "a")
    found = [one for one in _files(tmp_path, "path") if isinstance(one, RefusedFile)]
    assert [(one.reason, Path(one.file).name) for one in found] == [("left_out", "link")]


def test_a_path_that_is_not_there_ends_the_upload_before_it_begins(tmp_path: Path) -> None:
    with pytest.raises(FolderError, match="is not there"):
        list(files_to_send([tmp_path / "none"], FileFilter(), "path"))


def test_the_id_follows_from_the_key(folder: Path) -> None:
    for one in _files(folder, "path"):
        assert isinstance(one, FileToSend)
        assert one.key == f"pictures/{one.path}"
        assert id_of_key(one.path).startswith(one.path.replace("/", "-"))
