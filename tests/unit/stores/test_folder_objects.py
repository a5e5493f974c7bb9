"""Objects in a folder: whole, and the first one of a new name stays."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lockstep.stores.folder_objects import FolderObjects


def test_an_object_is_read_as_it_was_written(tmp_path: Path) -> None:
    objects = FolderObjects(tmp_path)
    assert objects.read("one") is None
    objects.write("one", b"0123456789")
    assert objects.read("one") == b"0123456789"
    assert objects.read_part("one", 2, 5) == b"234"
    objects.write("one", b"x")
    assert objects.read("one") == b"x"
    assert [one.name for one in tmp_path.iterdir()] == ["one"]


def test_of_many_that_write_a_new_object_at_the_same_time_one_stays_whole(tmp_path: Path) -> None:
    objects = FolderObjects(tmp_path)
    bodies = [bytes([number]) * 100_000 for number in range(8)]
    with ThreadPoolExecutor(len(bodies)) as threads:
        for body in bodies:
            threads.submit(objects.write_new, "one", body)
    first = objects.read("one")
    assert first in bodies
    objects.write_new("one", b"later")
    assert objects.read("one") == first
    assert [one.name for one in tmp_path.iterdir()] == ["one"]


@pytest.mark.parametrize("write", [FolderObjects.write, FolderObjects.write_new])
def test_a_folder_that_is_gone_takes_no_object(
    tmp_path: Path, write: Callable[[FolderObjects, str, bytes], None]
) -> None:
    objects = FolderObjects(tmp_path / "gone")
    with pytest.raises(FileNotFoundError):
        write(objects, "one", b"body")
    assert objects.read("one") is None
