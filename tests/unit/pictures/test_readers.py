"""The processes that read pictures: what ends one, ends nothing else."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC
from pathlib import Path
from zoneinfo import ZoneInfo

import psutil
import pytest

from lockstep.pictures.bucket.transfer import PART_BYTES
from lockstep.pictures.notes import NotAPictureError
from lockstep.pictures.reading import PictureSettings, read_picture
from lockstep.pictures.within_limits.readers import (
    Readers,
    ReadingLimits,
    ReadingStoppedError,
)
from lockstep.pictures.within_limits.reading_child import NoPicture, ReadPicture, UnreadFile

PICTURES = sorted((Path(__file__).parents[3] / "data" / "pictures").iterdir())
# A JPEG whose rest is a hole: it costs processor time, and no space on the disk.
HOLE_BYTES = 100_000_000


@pytest.fixture
def readers() -> Iterator[Readers]:
    with Readers(2, zone="Europe/Berlin", gps=False) as made:
        yield made


def _children() -> list[psutil.Process]:
    return psutil.Process().children()


def test_what_they_read_is_what_the_library_reads(readers: Readers) -> None:
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(readers.read, PICTURES))
    assert len(_children()) == 2
    for file, answer in zip(PICTURES, found, strict=True):
        assert isinstance(answer, ReadPicture)
        with file.open("rb") as content:
            assert answer.picture == read_picture(content, PictureSettings(zone=UTC))
        assert answer.size_bytes == file.stat().st_size
        assert (answer.part_bytes, len(answer.parts)) == (PART_BYTES, 1)


def test_what_is_no_picture_or_cannot_be_read_is_one_line(readers: Readers, tmp_path: Path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("hello")
    answer = readers.read(text)
    assert isinstance(answer, NoPicture)
    assert "it begins with 68 65 6c 6c 6f" in answer.why
    assert readers.read(tmp_path / "gone") == UnreadFile(
        "cannot be read: No such file or directory"
    )
    assert readers.read(tmp_path) == UnreadFile("cannot be read: Is a directory")


def test_a_process_that_dies_is_one_file_and_the_next_file_is_read() -> None:
    with Readers(1, zone="UTC", gps=False) as readers:
        assert isinstance(readers.read(PICTURES[0]), ReadPicture)
        (child,) = _children()
        child.kill()
        assert readers.read(PICTURES[0]) == UnreadFile(
            "damaged or hostile: the process that read it ended with SIGKILL"
        )
        assert isinstance(readers.read(PICTURES[0]), ReadPicture)
    assert _children() == []


def test_a_file_that_takes_too_much_processor_time_is_given_up(tmp_path: Path) -> None:
    hole = tmp_path / "hole.jpg"
    with hole.open("wb") as file:
        file.write(PICTURES[0].read_bytes())
        file.truncate(HOLE_BYTES)
    limits = ReadingLimits(seconds=0.05, bytes_a_second=1e15)
    with Readers(1, zone="UTC", gps=False, limits=limits) as readers:
        answer = readers.read(hole)
        assert answer == UnreadFile("reading it takes more than 0 s of processor time")
    with Readers(1, zone="UTC", gps=False) as readers:
        assert isinstance(readers.read(hole), ReadPicture)


def test_a_time_without_an_offset_is_one_of_the_zone(tmp_path: Path) -> None:
    from PIL import Image  # noqa: PLC0415 - for this test only

    file = tmp_path / "summer.jpg"
    exif = Image.Exif()
    exif[0x8769] = {0x9003: "2024:07:01 12:00:00"}
    Image.new("RGB", (8, 8)).save(file, exif=exif)
    with Readers(1, zone="Europe/Berlin", gps=False) as readers:
        answer = readers.read(file)
    assert isinstance(answer, ReadPicture)
    assert answer.picture.taken_at is not None
    assert answer.picture.taken_at.isoformat() == "2024-07-01T12:00:00+02:00"


def _in_pieces(content: bytes, length: int = 1000) -> Iterator[bytes]:
    return (content[at : at + length] for at in range(0, len(content), length))


class _Counted:
    """A stream that counts what is taken of it."""

    def __init__(self, start: bytes, pieces: int) -> None:
        self.left = pieces
        self._next = start

    def __iter__(self) -> Iterator[bytes]:
        while self.left:
            self.left -= 1
            yield self._next
            self._next = bytes(1_000_000)


def test_a_stream_is_read_as_the_library_reads_it_by_one_process() -> None:
    with Readers(1, zone="Europe/Berlin", gps=True) as readers:
        for file in PICTURES:
            content = file.read_bytes()
            with file.open("rb") as opened:
                expected = read_picture(
                    opened, PictureSettings(ZoneInfo("Europe/Berlin"), gps=True)
                )
            assert readers.picture(_in_pieces(content), len(content)) == expected
        assert len(_children()) == 1


def test_of_a_stream_that_is_no_picture_little_is_read_and_the_next_one_is_read() -> None:
    endless = _Counted(b"%PDF-1.7" + bytes(1000), pieces=10_000)
    content = PICTURES[0].read_bytes()
    with Readers(1, zone="UTC", gps=False) as readers:
        with pytest.raises(NotAPictureError, match="a PDF document"):
            readers.picture(endless, 10_000_000_000)
        assert endless.left > 9_000
        assert readers.picture(_in_pieces(content), len(content)).size_bytes == len(content)
        assert len(_children()) == 1


def test_a_stream_that_is_too_long_has_no_checksum_and_is_read_no_further() -> None:
    content = PICTURES[0].read_bytes()
    long = _Counted(content, pieces=100)
    with Readers(1, zone="UTC", gps=False, most_bytes=3_000_000) as readers:
        found = readers.picture(long, 100_000_000)
        assert (found.size_bytes, found.checksum) == (None, None)
        assert long.left >= 100 - 5
        assert readers.picture([content], len(content)).checksum is not None


def test_a_stream_that_takes_too_much_processor_time_is_refused_in_one_line() -> None:
    hole = _Counted(PICTURES[0].read_bytes(), pieces=300)
    limits = ReadingLimits(seconds=0.05, bytes_a_second=1e15)
    with Readers(1, zone="UTC", gps=False, limits=limits) as readers:
        with pytest.raises(NotAPictureError) as refused:
            readers.picture(hole, 300_000_000)
        assert str(refused.value) == "reading it takes more than 0 s of processor time"


def test_a_process_that_is_stopped_says_nothing_of_the_picture() -> None:
    content = PICTURES[0].read_bytes()
    with Readers(1, zone="UTC", gps=False) as readers:
        readers.picture([content], len(content))
        (child,) = _children()
        child.kill()
        with pytest.raises(ReadingStoppedError, match="SIGKILL"):
            readers.picture([content], len(content))
        assert readers.picture([content], len(content)).size_bytes == len(content)


def test_a_stream_that_breaks_leaves_nothing_for_the_next_one() -> None:
    content = PICTURES[0].read_bytes()

    def broken() -> Iterator[bytes]:
        yield content[:2000]
        raise ConnectionResetError("the peer has gone")

    with Readers(1, zone="UTC", gps=False) as readers:
        with pytest.raises(ConnectionResetError):
            readers.picture(broken(), len(content))
        assert readers.picture([content], len(content)).size_bytes == len(content)


def test_a_process_that_reads_knows_no_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    content = PICTURES[0].read_bytes()
    with Readers(1, zone="UTC", gps=False) as readers:
        readers.picture([content], len(content))
        (child,) = _children()
        assert child.environ().keys() - {"LC_CTYPE", "TMPDIR"} == {
            "MALLOC_ARENA_MAX",
            "PATH",
            "PYTHONPATH",
        }
