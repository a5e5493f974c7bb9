"""Engines in the cache: whole and right, or not used at all."""

import hashlib
import io
import re
import threading
import zipfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from rich.console import Console

from lockstep.local.engines.artifacts import DownloadError
from lockstep.local.engines.download import install, progress_on
from lockstep.local.engines.pins import Kit, Pin, kits

ONE, TWO = b"first jar" * 1000, b"second jar" * 1000
MEMBERS = {"lib/core.jar": b"core" * 5000, "agent/agent.jar": b"agent"}


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def archive_of(members: Mapping[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for path, content in {**members, "bin/unwanted": b"#!/bin/sh"}.items():
            archive.writestr(f"engine-1.0/{path}", content)
    return file.getvalue()


ARCHIVE = archive_of(MEMBERS)
CONTENTS = {"g:one:jar:1": ONE, "g:two:jar:2": TWO, "g:archive:zip:3": ARCHIVE}


def pin(coordinate: str, path: str) -> Pin:
    content = CONTENTS[coordinate]
    return Pin(coordinate, sha256(content), len(content), path)


JARS = Kit("s3", "1.0", [pin("g:one:jar:1", "lib/one.jar"), pin("g:two:jar:2", "lib/two.jar")])
ZIP = Kit(
    "opensearch",
    "1.0",
    [
        Pin(
            "g:archive:zip:3",
            sha256(ARCHIVE),
            len(ARCHIVE),
            members={path: sha256(content) for path, content in MEMBERS.items()},
        )
    ],
)


@dataclass
class Shelf:
    """A source that serves contents, breaks off after some bytes if told to, and remembers."""

    contents: dict[str, bytes] = field(default_factory=lambda: dict(CONTENTS))
    breaks_after: dict[str, int] = field(default_factory=dict)
    resumes: bool = True
    asked: list[tuple[str, int]] = field(default_factory=list)

    @contextmanager
    def read(self, pin: Pin, start: int) -> Iterator["ShelfAnswer"]:
        self.asked.append((pin.coordinate, start))
        begin = start if self.resumes else 0
        content = self.contents[pin.coordinate]
        yield ShelfAnswer(begin, content[begin:], self.breaks_after.pop(pin.coordinate, None))

    @property
    def coordinates(self) -> list[str]:
        return sorted(coordinate for coordinate, _ in self.asked)


@dataclass
class ShelfAnswer:
    start: int
    content: bytes
    breaks_after: int | None

    def chunks(self) -> Iterator[bytes]:
        for begin in range(0, len(self.content), 1000):
            if self.breaks_after is not None and begin >= self.breaks_after:
                raise DownloadError("connection lost")
            yield self.content[begin : begin + 1000]


QUIET = progress_on(Console(file=io.StringIO()))


def install_from(shelf: Shelf, cache: Path, *kits: Kit) -> Path:
    (home,) = install(kits or [JARS], cache, QUIET, shelf).values()
    return home


def test_an_empty_cache_is_filled(tmp_path: Path) -> None:
    home = install_from(Shelf(), tmp_path)
    assert (home / "lib/one.jar").read_bytes() == ONE
    assert (home / "lib/two.jar").read_bytes() == TWO


def test_a_complete_cache_needs_no_download(tmp_path: Path) -> None:
    first, later = Shelf(), Shelf()
    assert install_from(first, tmp_path) == install_from(later, tmp_path)
    assert first.coordinates == ["g:one:jar:1", "g:two:jar:2"]
    assert later.asked == []


def test_only_a_damaged_file_is_downloaded_again(tmp_path: Path) -> None:
    home = install_from(Shelf(), tmp_path)
    (home / "lib/two.jar").write_bytes(TWO[:-1] + b"!")
    shelf = Shelf()
    install_from(shelf, tmp_path)
    assert shelf.coordinates == ["g:two:jar:2"]
    assert (home / "lib/two.jar").read_bytes() == TWO


def test_a_removed_file_is_downloaded_again(tmp_path: Path) -> None:
    home = install_from(Shelf(), tmp_path)
    (home / "lib/one.jar").unlink()
    install_from(Shelf(), tmp_path)
    assert (home / "lib/one.jar").read_bytes() == ONE


def test_a_broken_download_is_resumed(tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match="connection lost"):
        install_from(Shelf(breaks_after={"g:one:jar:1": 3000}), tmp_path)
    shelf = Shelf()
    home = install_from(shelf, tmp_path)
    assert ("g:one:jar:1", 3000) in shelf.asked
    assert (home / "lib/one.jar").read_bytes() == ONE


def test_a_broken_download_starts_over_if_the_repository_cannot_resume(tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match="connection lost"):
        install_from(Shelf(breaks_after={"g:one:jar:1": 3000}), tmp_path)
    home = install_from(Shelf(resumes=False), tmp_path)
    assert (home / "lib/one.jar").read_bytes() == ONE


def test_a_file_is_moved_to_its_place_only_when_it_is_complete(tmp_path: Path) -> None:
    with pytest.raises(DownloadError):
        install_from(Shelf(breaks_after={"g:one:jar:1": 3000}), tmp_path)
    assert not list(tmp_path.rglob("one.jar"))


def test_a_partial_download_of_other_content_is_not_used(tmp_path: Path) -> None:
    arriving = tmp_path / "engines" / "arriving" / sha256(ONE)
    arriving.parent.mkdir(parents=True)
    arriving.write_bytes(b"?" * 3000)
    home = install_from(Shelf(), tmp_path)
    assert (home / "lib/one.jar").read_bytes() == ONE


def test_an_artifact_that_is_wrong_twice_is_an_error_with_its_name(tmp_path: Path) -> None:
    shelf = Shelf({**CONTENTS, "g:two:jar:2": b"evil"})
    with pytest.raises(
        DownloadError, match="g:two:jar:2 was downloaded twice, each time with a wrong SHA-256"
    ):
        install_from(shelf, tmp_path)
    assert shelf.coordinates.count("g:two:jar:2") == 2
    assert not list(tmp_path.rglob("two.jar"))


def test_only_the_pinned_members_of_an_archive_are_unpacked(tmp_path: Path) -> None:
    home = install_from(Shelf(), tmp_path, ZIP)
    there = {str(file.relative_to(home)) for file in home.rglob("*") if file.is_file()}
    assert there == set(MEMBERS)


def test_a_damaged_member_is_unpacked_again(tmp_path: Path) -> None:
    home = install_from(Shelf(), tmp_path, ZIP)
    (home / "lib/core.jar").write_bytes(b"")
    install_from(Shelf(), tmp_path, ZIP)
    assert (home / "lib/core.jar").read_bytes() == MEMBERS["lib/core.jar"]


def test_two_concurrent_installs_download_everything_once(tmp_path: Path) -> None:
    shelf, together = Shelf(), threading.Barrier(2)

    def one(_: int) -> Path:
        together.wait()
        return install_from(shelf, tmp_path)

    with ThreadPoolExecutor(2) as pool:
        assert len(set(pool.map(one, range(2)))) == 1
    assert shelf.coordinates == ["g:one:jar:1", "g:two:jar:2"]


def test_a_cache_that_cannot_be_written_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "engines").write_text("a file where the folder should be")
    with pytest.raises(DownloadError, match="cannot write to the cache folder"):
        install_from(Shelf(), tmp_path)


def test_other_pins_are_another_folder(tmp_path: Path) -> None:
    fewer = Kit("s3", "1.0", JARS.pins[:1])
    assert install_from(Shelf(), tmp_path, JARS) != install_from(Shelf(), tmp_path, fewer)


def test_without_a_terminal_progress_is_two_lines(tmp_path: Path) -> None:
    written = io.StringIO()
    install([JARS], tmp_path, progress_on(Console(file=written)), Shelf())
    first, last = written.getvalue().splitlines()
    assert first == "downloading s3: 0 MB"
    assert last.startswith("downloaded in ")


def test_on_a_terminal_the_first_download_is_one_line_of_eighty_columns() -> None:
    written = io.StringIO()
    console = Console(file=written, force_terminal=True, width=80, no_color=True)
    with progress_on(console)([kit.name for kit in kits().values()], 170_700_000) as advance:
        advance(100_000_000)
        advance(70_650_000)
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", written.getvalue()).replace("\r", "\n")
    last = [one for one in shown.splitlines() if one.strip()][-1]
    assert len(last) <= 80
    assert re.search(r"downloading opensearch, dynamodb, s3 \S+ 170\.7/170\.7 MB .*B/s ", last)


class TestThePinsOfThisVersion:
    def test_each_engine_is_pinned(self) -> None:
        assert set(kits()) == {"opensearch", "dynamodb", "s3"}

    @pytest.mark.parametrize("kit", kits().values(), ids=lambda kit: kit.name)
    def test_every_file_has_one_place_inside_the_folder(self, kit: Kit) -> None:
        paths = [path for pin in kit.pins for path in pin.files]
        assert len(set(paths)) == len(paths)
        assert not any(path.startswith("/") or ".." in path for path in paths)

    @pytest.mark.parametrize("kit", kits().values(), ids=lambda kit: kit.name)
    def test_every_file_is_pinned_by_a_sha256(self, kit: Kit) -> None:
        digests = [digest for pin in kit.pins for digest in (pin.sha256, *pin.files.values())]
        assert all(len(bytes.fromhex(digest)) == 32 for digest in digests)
