"""Files as people have them: any encoding, compression and format, read in bounded memory."""

import bz2
import csv
import gzip
import io
import json
import lzma
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockstep.producing.producer import Stamp
from lockstep.producing.sources import BadLine, Converter, read_events
from lockstep.source_files.converters import FieldMapping, load_mapping
from lockstep.source_files.records import SourceRecords, records
from lockstep.source_files.text import SourceError
from lockstep.source_files.unreadable import MAX_LINE_BYTES, UnreadableRecord
from shared.event import Event
from tests.builders import image_event
from tests.unit.producer.scripted_stream import NOON

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

NAMES = ["Low tide", "경복궁의 봄", "Ærøskøbing", "東京, “night”"]
EVENTS = [image_event(f"i-{n}", image={"name": name}) for n, name in enumerate(NAMES)]
LINES = "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in EVENTS)
ARRAY = json.dumps(EVENTS, ensure_ascii=False)
PRETTY = "\n".join(json.dumps(one, ensure_ascii=False, indent=2) for one in EVENTS)
PRETTY_ARRAY = json.dumps(EVENTS, ensure_ascii=False, indent=4)
TABLE = "image_id,version,name\r\n" + "".join(
    f'i-{n},1,"{name}"\r\n' for n, name in enumerate(NAMES)
)
FORMATS = {"lines": LINES, "array": ARRAY, "pretty": PRETTY, "in": PRETTY_ARRAY, "csv": TABLE}

UTF_16 = ["utf-16", "utf-16-le", "utf-16-be"]
PACKED: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "zstd": zstd.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
}


def found_in(data: bytes, name: str = "standard input") -> SourceRecords:
    return records(io.BytesIO(data), name)


def read(
    data: bytes, name: str = "standard input", converter: Converter | None = None
) -> list[Event | BadLine]:
    found = records(io.BytesIO(data), name, are_events=converter is None)
    return list(read_events(found.found, Stamp(lambda: NOON), converter))


def names(read_: list[Event | BadLine]) -> list[str]:
    assert all(isinstance(one, Event) for one in read_), read_
    return [msgspec.to_builtins(one)["image"]["name"] for one in read_]


def bad(read_: list[Event | BadLine]) -> list[BadLine]:
    return [one for one in read_ if isinstance(one, BadLine)]


@pytest.mark.parametrize("text", FORMATS.values(), ids=FORMATS)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", *UTF_16, "utf-32"])
def test_each_format_is_read_in_each_encoding(text: str, encoding: str) -> None:
    assert names(read(text.encode(encoding))) == NAMES


@pytest.mark.parametrize("text", FORMATS.values(), ids=FORMATS)
@pytest.mark.parametrize("pack", PACKED.values(), ids=PACKED)
def test_each_format_is_read_in_each_compression(text: str, pack: Callable[[bytes], bytes]) -> None:
    assert names(read(pack(text.encode("utf-16")))) == NAMES


def test_compressed_parts_one_after_another_are_one_file() -> None:
    first, *rest = LINES.encode().splitlines(keepends=True)
    for pack in PACKED.values():
        assert names(read(pack(first) + pack(b"".join(rest)))) == NAMES


def test_a_zstd_file_may_begin_with_a_frame_to_skip() -> None:
    skip = b"\x50\x2a\x4d\x18" + (4).to_bytes(4, "little") + b"skip"
    assert names(read(skip + zstd.compress(LINES.encode()))) == NAMES


def test_a_byte_order_mark_at_any_line_is_taken_off() -> None:
    mark = b"\xef\xbb\xbf"
    lines = LINES.encode().splitlines(keepends=True)
    assert names(read(b"".join(mark + line for line in lines))) == NAMES


@pytest.mark.parametrize("pack", PACKED.values(), ids=PACKED)
def test_a_damaged_file_gives_what_is_before_and_then_one_error(
    pack: Callable[[bytes], bytes],
) -> None:
    packed = pack(LINES.encode() * 40_000)
    found = found_in(packed[: len(packed) // 2], "works.gz").found
    with pytest.raises(SourceError, match=r"^works\.gz: damaged or incomplete"):
        for _ in found:
            pass


def test_a_utf_16_file_that_ends_in_a_character_is_incomplete() -> None:
    found = found_in(LINES.encode("utf-16")[:-1], "works.json").found
    with pytest.raises(SourceError, match=r"^works\.json: damaged or incomplete utf-16"):
        list(found)


def test_a_lone_surrogate_in_utf_16_is_one_rejected_line() -> None:
    odd = LINES.replace("Low", "L\ud800w").encode("utf-16", "surrogatepass")
    first, *rest = read(odd)
    assert isinstance(first, BadLine)
    assert (first.line, first.reason) == (1, "not_utf8")
    assert names(rest) == NAMES[1:]


NO_TEXT = {
    b"PK\x03\x04" + b"\0" * 26 + b"works.csv": "is a zip archive: extract it",
    b"PK\x03\x04" + b"\x14" * 26 + b"[Content_Types].xml": "is an Excel file.*: save .* as CSV",
    b"PK\x03\x04" + b"\x14" * 26 + b"xl/workbook.xml": "is an Excel file.*: save .* as CSV",
    b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 500: "is an Excel file.*: save .* as CSV",
    b"\x89PNG\r\n\x1a\n" + b"\0" * 20: r"is a picture \(PNG\): an event has the metadata",
    b"\xff\xd8\xff\xe0\x00\x10JFIF": r"is a picture \(JPEG\)",
    b"GIF89a\x01\x00": r"is a picture \(GIF\)",
    b"II*\x00\x08\x00": r"is a picture \(TIFF\)",
    b"RIFF\x24\x00\x00\x00WEBPVP8 ": r"is a picture \(WebP\)",
    b"\0\0\0\x18ftypheic": "is a picture or a film",
    b"%PDF-1.7\n%\xe2\xe3": "is a PDF document",
    b"SQLite format 3\x00": "is a SQLite database: export",
    b"PAR1\x15\x04\x15": "is a Parquet file: export",
    b"7z\xbc\xaf\x27\x1c\x00\x04": "is a 7z archive: extract it",
    b"works.csv" + b"\0" * 248 + b"ustar\x0000": "is a tar archive: extract it",
    b'<?xml version="1.0"?>\n<works/>': "is XML or HTML: export",
    b"\n <!doctype html>\n": "is XML or HTML: export",
    bytes(range(1, 256)) * 2: "is not text",
    b"abc\0def": "is not text",
    gzip.compress(gzip.compress(b"{}")): "is compressed twice: decompress it once",
}


@pytest.mark.parametrize(("data", "says"), NO_TEXT.items(), ids=NO_TEXT.values())
def test_what_is_no_text_is_one_line_that_says_what_it_is_and_what_to_do(
    data: bytes, says: str
) -> None:
    with pytest.raises(SourceError, match=f"^works.bin {says}") as caught:
        found_in(data, "works.bin")
    assert len(str(caught.value)) < 200
    assert str(caught.value).isprintable()


def test_a_compressed_picture_is_also_recognised() -> None:
    with pytest.raises(SourceError, match="is a picture"):
        found_in(gzip.compress(b"\x89PNG\r\n\x1a\n"))


@pytest.mark.parametrize("data", [b"", b"\n\n", b"\xef\xbb\xbf", b"[]", b"[\n]\n", b"a,b\n"])
def test_a_file_without_records_has_none(data: bytes) -> None:
    assert [one for one in found_in(data).found if one != b"\n"] == []


def test_in_an_array_a_place_is_the_number_of_the_record() -> None:
    found = found_in(PRETTY_ARRAY.replace('"i-2"', "7").encode())
    assert found.unit == "record"
    assert [one.line for one in bad(read(PRETTY_ARRAY.replace('"i-2"', "7").encode()))] == [3]


ARRAYS = [
    (b'[{"a": 1}, 7, {"b": 2}]', [b'{"a": 1}', b"7", b'{"b": 2}']),
    (b'[{"a": 1.50}\r\n,\n{"b": [1, {"c": 2e5}]}]', [b'{"a": 1.50}', b'{"b": [1, {"c": 2e5}]}']),
    (b'[{"a": "]}\\"["}, {"b": "\\\\"}]', [b'{"a": "]}\\"["}', b'{"b": "\\\\"}']),
    (b'[{"a": "open\n}, {"b": 2}]', [b'{"a": "open }', b'{"b": 2}']),
    (b'[{"a": [1}, {"b": 2}]', [b'{"a": [1}', b'{"b": 2}']),
    (b'[{"a": 1] }, {"b": 2}]', [b'{"a": 1] }', b'{"b": 2}']),
    (b'[{"a": 1} {"b": 2},]', [b'{"a": 1}', b'{"b": 2}']),
    (b'[{"a": 1}]\n[{"b": 2}]', [b'{"a": 1}', b'{"b": 2}']),
    (b'[[{"a": 1}]]', [b'[{"a": 1}]']),
    (b'{\n "a": 1\n}\n{\n "b": 2\n}', [b'{  "a": 1 }', b'{  "b": 2 }']),
    (b'{"a": 1,\n"b": 2}{"c": 3}', [b'{"a": 1, "b": 2}', b'{"c": 3}']),
]


@pytest.mark.parametrize(("data", "expected"), ARRAYS)
def test_each_value_keeps_its_bytes_and_a_broken_one_does_not_hide_the_next(
    data: bytes, expected: list[bytes]
) -> None:
    assert list(found_in(data).found) == expected


class OneByOne(io.RawIOBase):
    """A live source that gives one byte at a time."""

    def __init__(self, data: bytes) -> None:
        self._data = io.BytesIO(data)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._data.readinto(memoryview(buffer)[:1])


@pytest.mark.parametrize(
    ("data", "expected"), [*ARRAYS, (b'["a, b", 17 , {}', [b'"a', b'b"', b"17", b"{}"])]
)
def test_a_value_is_the_same_wherever_the_parts_of_a_live_source_end(
    data: bytes, expected: list[bytes]
) -> None:
    found = records(io.BufferedReader(OneByOne(data)), "standard input").found
    assert [one for one in found if isinstance(one, bytes)] == expected


@pytest.mark.parametrize("cut", [ARRAY[:-1], ARRAY[:-2], PRETTY[:-1], PRETTY_ARRAY[:-2]])
def test_an_array_or_an_object_that_does_not_end_is_said(cut: str) -> None:
    found = read(cut.encode())
    (last,) = bad(found)
    assert found[-1] == last
    assert last.reason == "not_json"
    assert "complete?" in last.detail


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)


@given(
    st.lists(st.dictionaries(st.text(), JSON, max_size=5)),
    st.sampled_from([None, 0, 1, 4]),
    st.booleans(),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-be"]),
)
def test_an_array_of_anything_is_read_as_a_json_parser_reads_it(
    trees: list[dict[str, Any]],
    indent: int | None,
    escapes: bool,  # noqa: FBT001
    encoding: str,
) -> None:
    text = json.dumps(trees, indent=indent, ensure_ascii=escapes)
    data = text.encode(encoding, "surrogatepass")
    found = found_in(data, "works.json").found
    assert [json.loads(one) for one in found if isinstance(one, bytes)] == trees


@given(
    st.binary(max_size=200), st.sampled_from([b"", b"[", b"{\n", b"a,b\n", b"a\tb\n", b"\xff\xfe"])
)
def test_no_bytes_give_another_error_than_the_documented_one(noise: bytes, begin: bytes) -> None:
    try:
        found = found_in(begin + noise)
        for one in found.found:
            assert isinstance(one, bytes | UnreadableRecord)
    except SourceError as error:
        assert "\n" not in str(error)  # noqa: PT017 - the documented error


def test_json_lines_with_a_broken_first_line_stay_lines() -> None:
    lines = LINES.encode().splitlines(keepends=True)
    found = read(lines[0][:-3] + b"\n" + b"".join(lines[1:]))
    assert [one.line for one in bad(found)] == [1]
    assert len(found) == len(NAMES)


class Endless(io.RawIOBase):
    """A file that is much larger than memory should be: a beginning, then one part many times."""

    def __init__(self, begin: bytes, part: bytes, times: int) -> None:
        self._left = self._parts(begin, part, times)
        self._rest = b""

    @staticmethod
    def _parts(begin: bytes, part: bytes, times: int) -> Iterator[bytes]:
        yield begin
        for _ in range(times):
            yield part

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._rest = self._rest or next(self._left, b"")
        part = self._rest[: len(buffer)]
        buffer[: len(part)] = part
        self._rest = self._rest[len(part) :]
        return len(part)


PART = b'{"a": "' + b"x" * 990 + b'"},'
LARGE = {
    "an array on one line": (b"[", PART * 60, 1_000, 60_001),  # the array has no end
    "an array with an object without end": (b"[", b'{"a": "' + b"x" * 60_000 + b'",', 1_000, 1),
    "an array with a string without end": (b'["', b"x" * 60_000, 1_000, None),
    "a table": (
        b"a,b\n",
        (b"x" * 500 + b',"' + b"y\n" * 20 + b"y" * 450 + b'"\n') * 60,
        1_000,
        60_000,
    ),
    "a table with a quotation mark without end": (
        b"a,b\n",
        b'x,"' + b"y" * 60_000 + b"\n",
        1_000,
        None,
    ),
    "a row without end": (b"a,b\n", b'"' + b"x" * 60_000 + b'\n",', 1_000, None),
}


@pytest.mark.parametrize(("begin", "part", "times", "count"), LARGE.values(), ids=LARGE)
def test_memory_stays_bounded(begin: bytes, part: bytes, times: int, count: int | None) -> None:
    file = io.BufferedReader(Endless(begin, part, times))
    tracemalloc.start()
    try:
        number = sum(1 for _ in records(file, "works").found)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 16 * MAX_LINE_BYTES
    assert len(part) * times > 50 * MAX_LINE_BYTES
    assert count is None or number == count


ROWS = [
    {"image_id": "4711", "name": "Low tide,\nat dawn", "tags": "sea; sand"},
    {"image_id": "4712", "name": 'The "Thames"', "tags": ""},
    {"image_id": "4713", "name": "東京", "tags": "night"},
]


def table(rows: list[dict[str, str]], **how: Any) -> bytes:
    file = io.StringIO(newline="")
    writer = csv.DictWriter(file, list(rows[0]), **how)
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue().encode()


@pytest.mark.parametrize(
    ("how", "name"),
    [
        ({}, "works.csv"),
        ({}, "standard input"),
        ({"delimiter": ";"}, "works.CSV"),
        ({"delimiter": "\t"}, "works.tsv"),
        ({"dialect": "excel-tab"}, "s3://bucket/works.tsv.gz"),
        ({"lineterminator": "\n", "quoting": csv.QUOTE_ALL}, "works.csv"),
    ],
)
def test_the_header_of_a_table_has_the_names_of_event_fields(
    how: dict[str, Any], name: str
) -> None:
    first, second, third = read(table(ROWS, **how), name)
    assert isinstance(first, Event)
    assert isinstance(second, Event)
    assert msgspec.to_builtins(first)["image"] == {
        "name": "Low tide,\nat dawn",
        "tags": ("sea", "sand"),
    }
    assert msgspec.to_builtins(second)["image"] == {"name": 'The "Thames"'}
    assert isinstance(third, Event)
    assert third.image_id == "4713"


@pytest.mark.parametrize("text", [LINES, ARRAY, PRETTY])
def test_json_with_the_name_of_a_table_is_json(text: str) -> None:
    assert names(read(text.encode(), "works.csv")) == NAMES


def test_columns_may_be_numbers_and_attributes() -> None:
    data = b"image_id,version,image.name,width,attributes.artist\n7,3,x,1024,Turner\n"
    (found,) = read(data)
    whole = msgspec.to_builtins(found)
    assert (whole["image_id"], whole["version"]) == ("7", 3)
    assert whole["image"] == {"name": "x", "width": 1024, "attributes": {"artist": "Turner"}}


@pytest.mark.parametrize(
    "begin",
    [
        b"sep=;\r\n",
        b'"sep=;"\r\n',
        b"SEP=;\n",
        b"\r\n\r\n",
        b";;\r\n",
        b"\r\nsep=;\r\n;\r\n",
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_what_excel_writes_before_the_header_is_no_header(begin: bytes, encoding: str) -> None:
    data = begin.lower() + b'image_id;name\r\n7;"Low tide, at dusk"\r\n8;High tide;x\r\n'
    found = read(data.decode().encode(encoding), "works.csv")
    assert names(found[:1]) == ["Low tide, at dusk"]
    (line,) = bad(found)
    assert line.line == 2


@pytest.mark.parametrize("sign", [",", ";", "\t", "|"])
def test_the_row_sep_says_what_separates_the_columns(sign: str) -> None:
    text = f"sep={sign}\r\nimage_id{sign}name\r\n7{sign}Low tide\r\n"
    assert names(read(text.encode(), "works.csv")) == ["Low tide"]
    assert names(read(text.partition("\n")[2].encode())) == ["Low tide"]


def test_the_line_of_an_error_counts_what_is_before_the_header() -> None:
    (line,) = read(b'sep=,\n\nimage_id,name\n7,"a"b\n', "works.csv")
    assert isinstance(line, BadLine)
    assert line.detail.startswith("line 4: ")


def test_names_in_a_header_may_have_blanks_around_them() -> None:
    assert names(read(b"image_id , name\n7,Low tide\n", "works.csv")) == ["Low tide"]


def test_a_column_without_a_name_may_be_empty() -> None:
    good, wrong, *_ = read(b"image_id,,name,,\n7,,Low tide,,\n8,x,High tide,,\n", "works.csv")
    assert names([good]) == ["Low tide"]
    assert isinstance(wrong, BadLine)
    assert wrong.detail == (
        "column 2 has a value, but no name: write the name of its field in the header"
    )
    by = FieldMapping(fields={"No.": "image_id", "Titel": "name", "column 3": "attributes.place"})
    (found,) = read(b"No.;Titel;\n7;Ebbe;Kiel\n", "werke.csv", by)
    assert msgspec.to_builtins(found)["image"]["attributes"] == {"place": "Kiel"}


def test_a_rejected_row_is_an_image_that_can_be_corrected_and_imported() -> None:
    """As docs/guides/producing.md says of `--refused`: it is one line of JSON."""
    data = b"image_id,name,width,tags,attributes.by\n7,Tide,1.000,sea;sand,Ann\n"
    (one,) = records(io.BytesIO(data), "works.csv", are_events=True).found
    assert isinstance(one, UnreadableRecord)
    assert one.detail.startswith("field `width`: `1.000` is not a whole number")
    tree = msgspec.json.decode(one.text)
    assert tree.pop("type") == "image.uploaded"
    assert tree == {
        "image_id": "7",
        "image": {
            "name": "Tide",
            "width": "1.000",
            "tags": "sea;sand",
            "attributes": {"by": "Ann"},
        },
    }


def test_a_table_is_converted_by_a_mapping_file() -> None:
    mapping = FieldMapping(fields={"No.": "image_id", "Titel": "name"}, rest="attributes")
    (found,) = read(b"No.;Titel;Ort\n7;Ebbe;Kiel\n", "werke.csv", mapping)
    whole = msgspec.to_builtins(found)
    assert whole["image_id"] == "7"
    assert whole["image"] == {"name": "Ebbe", "attributes": {"Ort": "Kiel"}}


@pytest.mark.parametrize(
    ("header", "says"),
    [
        (b"image_id,Titel", "column `Titel` is not an event field: write such names in"),
        (b"7,Ebbe", "column `7` is not an event field: write such names in the first row "),
        (b"image_id,name\r1,x\r2,y", "header: line 1: a line ends with CR alone: save the file"),
        (b"image_id,name,name", "the header has `name` twice: rename one"),
        (b"image_id,name,image.name", "two columns are `name`: rename one"),
        (b"image_id,n\xe4me", r"the header is not UTF-8: save the file as UTF-8 \(in Excel: "),
        (b"Image ID,name", "column `Image ID` is not an event field: write `image_id`, or use a"),
        (b"image_id,name,takenAt", "column `takenAt` is not an event field: write `taken_at`"),
        (b'image_id,"name', "header: line 1: a value begins with a quotation mark and has no "),
    ],
)
def test_a_header_that_cannot_be_read_is_one_line(header: bytes, says: str) -> None:
    with pytest.raises(SourceError, match=f"^works.csv: {says}"):
        read(header + b"\n", "works.csv")


BAD_ROWS = [
    (b"2", "schema", "1 value, but the header has 2 names: write a separator for each empty"),
    (b"2,a,b", "schema", '3 values, but the header has 2 names: put quotation marks (") around'),
    (
        b"2,caf\xe9",
        "not_utf8",
        'column `name` is not UTF-8: save the file as UTF-8 (in Excel: "CSV',
    ),
    (b'2,"a"b', "schema", "line 3: text follows the quotation mark at the end of a value"),
    (b'2,"a\n3,"b"', "schema", "lines 3 to 4: text follows the quotation mark"),
    (b'2,"' + b"x" * 200_000 + b'"', "schema", "line 3: a value has more than 131072 characters"),
    (b"2," + b"x" * MAX_LINE_BYTES, "too_large", "more than 1048576 bytes in one row"),
]


@pytest.mark.parametrize(("row", "reason", "says"), BAD_ROWS, ids=[says for *_, says in BAD_ROWS])
def test_a_bad_row_is_named_by_its_number_and_the_others_are_read(
    row: bytes, reason: str, says: str
) -> None:
    first, second, third = read(b"image_id,name\n1,x\n" + row + b"\n4,y\n", "works.csv")
    assert isinstance(first, Event)
    assert isinstance(second, BadLine)
    assert (second.line, second.reason) == (2, reason)
    assert says in second.detail
    assert isinstance(third, Event)
    assert third.image_id == "4"


CELLS = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], include_characters="\n\r\t"), max_size=20
)


@given(st.lists(st.tuples(CELLS, CELLS, CELLS), max_size=8), st.sampled_from([",", ";", "\t"]))
def test_what_a_spreadsheet_writes_is_read_back(
    rows: list[tuple[str, str, str]], delimiter: str
) -> None:
    file = io.StringIO(newline="")
    writer = csv.writer(file, delimiter=delimiter)
    writer.writerows([("a", "b", "c"), *rows])
    found = found_in(file.getvalue().encode("utf-8-sig"), "works.csv").found
    expected = [{k: v for k, v in zip("abc", row, strict=True) if v} for row in rows]
    assert [msgspec.json.decode(one) for one in found if isinstance(one, bytes)] == expected


def test_a_live_source_is_read_line_by_line() -> None:
    class Live(io.RawIOBase):
        """A pipe that has one line, and then waits."""

        def __init__(self) -> None:
            self._lines = iter(LINES.encode().splitlines(keepends=True)[:1])

        def readable(self) -> bool:
            return True

        def readinto(self, buffer: Any) -> int:
            line = next(self._lines, None)
            assert line is not None, "this would wait"
            buffer[: len(line)] = line
            return len(line)

    found = records(io.BufferedReader(Live()), "standard input").found
    assert len(list(islice(found, 1))) == 1


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
@pytest.mark.parametrize("ending", ["toml", "json"])
def test_a_mapping_file_is_read_in_each_encoding(
    tmp_path: Path, encoding: str, ending: str
) -> None:
    said = {
        "toml": '[fields]\nNr = "image_id"\n"Τίτλος" = "name"\n',
        "json": '{"fields": {"Nr": "image_id", "Τίτλος": "name"}}',
    }
    path = tmp_path / f"museum.{ending}"
    path.write_bytes(said[ending].encode(encoding))
    assert load_mapping(str(path)).fields == {"Nr": "image_id", "Τίτλος": "name"}


def test_a_mapping_file_that_is_no_text_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "museum.toml"
    path.write_bytes(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(SourceError, match=r"^mapping .*museum\.toml is a picture \(PNG\)"):
        load_mapping(str(path))
