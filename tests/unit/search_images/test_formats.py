"""The forms of a download: RFC 4180 for spreadsheets, NDJSON for programs."""

import csv
import io

import msgspec

from functions.search_images.export import ExportedImage
from functions.search_images.formats import BYTE_ORDER_MARK, CsvEncoding, NdjsonEncoding
from functions.search_images.search import Hit

FIELDS = [
    *("image_id", "version", "name", "description", "url", "content_type", "width", "height"),
    *("uploaded_by", "taken_at", "tags"),
]
IMAGE = ExportedImage(
    image_id="0012",
    version=1795248000123456,
    name='The "Sea", calm\nand wide 北斎',
    width=1536,
    tags=["River Thames", "=1+1", "boats"],
    attributes={"artist": "=cmd()", "medium": "oil", "weight": "-5"},
)


def table(text: str) -> list[list[str]]:
    assert text.startswith(BYTE_ORDER_MARK)
    return list(
        csv.reader(io.StringIO(text.removeprefix(BYTE_ORDER_MARK), newline=""), strict=True)
    )


def test_a_table_has_a_column_for_each_field_and_each_frequent_attribute() -> None:
    how = CsvEncoding(["artist", "weight"])
    header, row = table(how.head() + how.line(IMAGE))
    assert header == [*FIELDS, "attributes.artist", "attributes.weight", "other_attributes"]
    assert dict(zip(header, row, strict=True)) == {
        "image_id": "0012",
        "version": "1795248000123456",
        "name": 'The "Sea", calm\nand wide 北斎',
        "description": "",
        "url": "",
        "content_type": "",
        "width": "1536",
        "height": "",
        "uploaded_by": "",
        "taken_at": "",
        "tags": "River Thames;' =1+1; boats",
        "attributes.artist": "'=cmd()",
        "attributes.weight": "-5",
        "other_attributes": '{"medium":"oil"}',
    }


def test_a_download_has_all_fields_of_a_hit_but_highlights_and_checksum() -> None:
    of_hit = {field.name: field.type for field in msgspec.structs.fields(Hit)}
    del of_hit["name_html"], of_hit["highlights"], of_hit["checksum"]
    assert {field.name: field.type for field in msgspec.structs.fields(ExportedImage)} == of_hit


def test_lines_end_as_rfc_4180_says_and_numbers_have_no_quotation_marks() -> None:
    how = CsvEncoding([])
    assert how.head().endswith("tags,other_attributes\r\n")
    line = how.line(msgspec.structs.replace(IMAGE, name="a", tags=[], attributes={}))
    assert line == "0012,1795248000123456,a,,,,1536,,,,,\r\n"


def test_a_line_of_ndjson_is_the_image_as_it_is() -> None:
    how = NdjsonEncoding()
    assert how.head() == ""
    line = how.line(IMAGE)
    assert line.count("\n") == 1
    assert msgspec.json.decode(line) == {
        "image_id": "0012",
        "version": 1795248000123456,
        "name": IMAGE.name,
        "width": 1536,
        "tags": ["River Thames", "=1+1", "boats"],
        "attributes": {"artist": "=cmd()", "medium": "oil", "weight": "-5"},
    }
