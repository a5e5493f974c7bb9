"""The import: which images are put, with which version, and which are skipped."""

import bz2
import gzip
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import msgspec
import pytest

from lockstep.producing.backfill import (
    LINES_A_STEP,
    Backfill,
    Backfilled,
    PastStamp,
    Point,
    RefusedLine,
    sources,
)
from lockstep.producing.checked import CheckedEvent
from lockstep.producing.producer import Stamp
from lockstep.simulation.fakes.s3 import S3
from lockstep.source_files.converters import load_mapping
from lockstep.source_files.text import SourceError
from lockstep.stores.entry import Entry
from shared.event import Event, Image, digest
from shared.horizon import HORIZON
from tests.builders import image

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

NOW = 1_795_248_000.0
PAST = int((NOW - HORIZON.total_seconds()) * 1_000_000)


def line(image_id: str, **fields: Any) -> bytes:
    return msgspec.json.encode({"image_id": image_id, "image": image(image_id), **fields}) + b"\n"


class Table:
    def __init__(self, *entries: Entry) -> None:
        self.entries = {one.image_id: one for one in entries}
        self.asked: list[int] = []

    def lookup(self, image_ids: Sequence[str]) -> Mapping[str, Entry]:
        assert len(set(image_ids)) == len(image_ids)  # DynamoDB refuses a key twice
        self.asked.append(len(image_ids))
        return {one: self.entries[one] for one in image_ids if one in self.entries}


class Run:
    """An import, and everything that it reported and put."""

    def __init__(self, *there: Entry, **how: Any) -> None:
        self.table = Table(*there)
        self.put: list[Event] = []
        self.refused: list[RefusedLine] = []
        self.kept: list[bytes] = []
        self.steps: list[Point] = []
        stamp = Stamp(lambda: NOW) if how.get("replaces") else PastStamp(lambda: NOW)
        self.backfill = Backfill(
            self.table,
            self._put,
            stamp=stamp,
            now=lambda: NOW,
            on_refused=self._on_refused,
            on_step=lambda point, _: self.steps.append(point),
            **how,
        )

    def file(self, file: Path, *lines: bytes, after: Point | None = None) -> Backfilled:
        file.write_bytes(b"".join(lines))
        return self.backfill.run(sources(str(file), no_s3), after)

    def _put(self, events: Iterable[CheckedEvent]) -> None:
        self.put.extend(one.event for one in events)

    def _on_refused(self, one: RefusedLine, text: bytes) -> None:
        self.refused.append(one)
        self.kept.append(text)


def no_s3() -> "S3Client":
    raise NotImplementedError


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "images.ndjson"


def there(image_id: str, version: int = PAST, **more: Any) -> Entry:
    return Entry(image_id, version, digest="d", checked_version=version, **more)


def test_an_image_gets_a_version_that_is_lower_than_that_of_any_event_to_come(file: Path) -> None:
    run = Run()
    done = run.file(file, line("a"), b"\n", line("b"))
    assert (done.new, done.skipped, done.rejected) == (2, {}, 0)
    assert [(one.image_id, one.version) for one in run.put] == [("a", PAST + 1), ("b", PAST + 2)]
    assert {one.type for one in run.put} == {"image.uploaded"}
    assert {one.occurred_at.timestamp() for one in run.put} == {NOW}


def test_version_time_and_type_of_a_line_are_kept(file: Path) -> None:
    run = Run()
    now = int(NOW * 1_000_000)
    run.file(
        file,
        line("a", version=7, occurred_at="2014-01-01T00:00:00Z", type="image.updated"),
        line("b", version=now),
    )
    a, b = run.put
    assert (a.version, a.occurred_at.year, a.type) == (7, 2014, "image.updated")
    assert b.version == now


def test_an_image_that_is_in_the_table_or_was_deleted_is_skipped(file: Path) -> None:
    ended = Entry("ended", PAST, deleted=True, expires_at=int(NOW) - 1)
    gone = Entry("gone", PAST, deleted=True, expires_at=int(NOW) + 1)
    run = Run(there("there"), gone, ended)
    done = run.file(file, line("there"), line("gone", version=PAST + 9), line("ended"))
    assert [one.image_id for one in run.put] == ["ended"]
    assert (done.new, done.skipped) == (1, {"there": 1, "deleted": 1})


def test_replace_puts_newer_images_and_no_stamp_over_a_counter(
    file: Path,
) -> None:
    now = int(NOW * 1_000_000)
    run = Run(
        there("a"), there("counted", 3), there("counting", 3), there("c", now + 9), replaces="all"
    )
    done = run.file(file, line("a"), line("counted"), line("counting", version=4), line("c"))
    assert [(one.image_id, one.version) for one in run.put] == [("a", now), ("counting", 4)]
    assert (done.new, done.replaced, done.skipped, done.rejected) == (0, 2, {"newer_there": 1}, 1)
    (refused,) = run.refused
    assert (refused.line, refused.reason) == (2, "version")


def test_undelete_puts_what_was_deleted_and_leaves_what_is_there(file: Path) -> None:
    now = int(NOW * 1_000_000)
    gone = Entry("gone", now - 5, deleted=True, expires_at=int(NOW) + 1)
    counted = Entry("counted", 3, deleted=True, expires_at=int(NOW) + 1)
    run = Run(there("there"), gone, counted, replaces="deleted")
    done = run.file(file, line("there"), line("gone"), line("counted"), line("new"))
    assert [(one.image_id, one.version) for one in run.put] == [("gone", now + 1), ("new", now + 3)]
    assert (done.new, done.replaced, done.skipped, done.rejected) == (1, 1, {"there": 1}, 1)
    assert "set the next version" in run.refused[0].detail


def test_replace_leaves_what_is_the_same(file: Path) -> None:
    """Otherwise a whole table would be put again to undo a change of ten images."""
    content = digest(msgspec.convert(image("same"), Image))
    same = Entry("same", PAST, digest=content)
    broken = Entry("broken", PAST, digest=content, malformed="an unexpected attribute")
    run = Run(same, broken, there("other"), replaces="all")
    done = run.file(file, line("same"), line("other"), line("broken", image=image("same")))
    assert [one.image_id for one in run.put] == ["other", "broken"]
    assert (done.replaced, done.skipped) == (2, {"same": 1})


def test_a_foreign_item_is_skipped_and_is_replaced_only_by_replace(file: Path) -> None:
    broken = Entry("a", malformed="no version")
    run = Run(broken)
    assert run.file(file, line("a")).skipped == {"there": 1}
    assert Run(broken, replaces="all").file(file, line("a")).replaced == 1


def test_a_rejected_line_is_reported_and_kept_unchanged(file: Path) -> None:
    run = Run()
    bad = b'{"image_id": "x", "image": {}}\r\n'
    removal = msgspec.json.encode({"image_id": "x", "type": "image.deleted"}) + b"\n"
    done = run.file(file, line("a"), b"\n", bad, removal, b"{\n", line("b"))
    assert [one.image_id for one in run.put] == ["a", "b"]
    assert [(one.source, one.line) for one in run.refused] == [(str(file), n) for n in (3, 4, 5)]
    assert run.kept == [bad, removal, b"{\n"]
    assert "name" in run.refused[0].detail
    assert "lockstep put" in run.refused[1].detail
    assert done.rejected == 3


def test_records_of_another_shape_are_converted(file: Path) -> None:
    run = Run(mapping=load_mapping("tate"))
    run.file(
        file, b'{"accession": "N1", "title": "Sea", "artist": "Turner"}\n{"accession": "N2"}\n'
    )
    (put,) = run.put
    assert (put.image_id, put.version) == ("N1", PAST + 1)
    assert "`title`" in run.refused[0].detail


def test_a_resumed_import_continues_and_counts_lines_from_the_start_of_the_file(file: Path) -> None:
    run = Run()
    lines = [line(f"i{n}") for n in range(2 * LINES_A_STEP + 10)]
    lines[-1] = b"no image\n"
    run.file(file, *lines)
    assert [one.line for one in run.steps] == [LINES_A_STEP, 2 * LINES_A_STEP, len(lines)]
    again = Run()
    again.file(file, *lines, after=run.steps[1])
    assert [one.image_id for one in again.put] == [f"i{2 * LINES_A_STEP + n}" for n in range(9)]
    assert again.refused == run.refused
    assert again.refused[0].line == len(lines)
    with pytest.raises(SourceError, match="about elsewhere, which is not in this source"):
        run.backfill.run(sources(str(file), no_s3), Point("elsewhere", 1))


def test_an_image_in_many_lines_is_looked_up_once_and_put_in_order(file: Path) -> None:
    run = Run()
    run.file(file, *[line("a")] * 150)
    assert run.table.asked == [1, 1]
    assert [one.version for one in run.put] == [PAST + n for n in range(1, 151)]


class Bucket:
    """S3 with the bucket `b` and these objects."""

    def __init__(self, **objects: bytes) -> None:
        self._s3 = S3("b")
        for key, body in objects.items():
            self._s3.put_object(Bucket="b", Key=key.replace("__", "/"), Body=body)

    def __call__(self) -> "S3Client":
        return cast("S3Client", self._s3)


def test_all_objects_under_a_folder_are_read_in_order_compressed_or_not() -> None:
    bucket = Bucket(
        all__=b"", all__2=gzip.compress(line("c") + line("d")), all__1=line("a"), allmost=line("x")
    )
    run = Run()
    run.backfill.run(sources("s3://b/all/", bucket))
    assert [one.image_id for one in run.put] == ["a", "c", "d"]
    assert run.steps == [Point("s3://b/all/1", 1), Point("s3://b/all/2", 2)]
    rest = Run()
    rest.backfill.run(sources("s3://b/all/", bucket), Point("s3://b/all/2", 1))
    assert [one.image_id for one in rest.put] == ["d"]
    one = Run()
    one.backfill.run(sources("s3://b/allmost", bucket))
    assert [event.image_id for event in one.put] == ["x"]


@pytest.mark.parametrize(
    ("name", "why"),
    [("s3://b/nowhere", "no such object"), ("s3://b/nowhere/", "there are no objects")],
)
def test_a_missing_object_is_named(name: str, why: str) -> None:
    with pytest.raises(SourceError, match=f"{name}: {why}"):
        Run().backfill.run(sources(name, Bucket()))


@pytest.mark.parametrize("cut", [20, -3])
def test_an_incomplete_compressed_file_is_reported_and_the_images_before_are_put(
    file: Path, cut: int
) -> None:
    run = Run()
    packed = gzip.compress(b"".join(line(f"i{n}") for n in range(3 * LINES_A_STEP)))
    with pytest.raises(SourceError, match=f"{file}: damaged or incomplete"):
        run.file(file, packed[:cut])
    assert len(run.put) == (0 if cut > 0 else 3 * LINES_A_STEP)


IMAGES = [{"image_id": f"i{n}", "image": {"name": f"Tide\n{n}"}} for n in range(7)]
ROWS = "image_id,name\n" + "".join(f'i{n},"Tide\n{n}"\n' for n in range(7))
AS = {
    "lines": "\n".join(map(json.dumps, IMAGES)),
    "array": json.dumps(IMAGES),
    "pretty array": json.dumps(IMAGES, indent=2),
    "pretty": "\n".join(json.dumps(one, indent=2) for one in IMAGES),
    "csv": ROWS,
    "tsv": ROWS.replace(",", "\t"),
}


@pytest.mark.parametrize("text", AS.values(), ids=AS)
@pytest.mark.parametrize("pack", [bytes, gzip.compress, bz2.compress])
def test_every_format_is_resumed_after_the_same_record(
    file: Path, text: str, pack: Callable[[bytes], bytes]
) -> None:
    for after in range(8):
        run = Run()
        data = pack(text.encode("utf-16"))
        done = run.file(file, data, after=Point(str(file), after) if after else None)
        assert [one.image_id for one in run.put] == [f"i{n}" for n in range(after, 7)]
        assert (done.new, done.rejected) == (7 - after, 0)
        assert [point.line for point in run.steps] == ([7] if after < 7 else [])


@pytest.mark.parametrize("text", AS.values(), ids=AS)
def test_a_rejected_record_of_every_format_is_kept_as_a_line_that_can_be_imported(
    file: Path, text: str
) -> None:
    run = Run()
    run.file(file, text.replace("i3", "i 3").encode())
    assert [one.line for one in run.refused] == [4]
    (kept,) = run.kept
    assert b"\n" not in kept.rstrip(b"\n")
    again = Run()
    again.file(file, kept.replace(b"i 3", b"i3") + b"\n")
    assert [one.image_id for one in again.put] == ["i3"]


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"none\.ndjson: No such file"):
        Run().backfill.run(sources(str(tmp_path / "none.ndjson"), no_s3))
