"""Why a record is refused: each frequent mistake has a reason of its own, and says what to do."""

import base64
import bz2
import gzip
import json
import lzma
import re
import zlib
from pathlib import Path
from typing import Any, NamedTuple, get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.event import MAX_EVENT_BYTES, InvalidEventError, Reason, decode
from tests.builders import image, image_event

ROOT = Path(__file__).parents[3]
EVENT = image_event()
JSON = msgspec.json.encode(EVENT)


class Mistake(NamedTuple):
    """What a sender does, the reason of the refusal, and its words."""

    data: bytes
    reason: Reason
    detail: str


def of_event(reason: Reason, detail: str, **fields: Any) -> Mistake:
    return Mistake(msgspec.json.encode(EVENT | fields), reason, detail)


def of_image(reason: Reason, detail: str, **fields: Any) -> Mistake:
    return of_event(reason, detail, image=image() | fields)


BASE64 = "base64 of an event: send the JSON itself, because the Kinesis client encodes the data"
UTF_16 = "the text is UTF-16: encode the JSON as UTF-8"
ONLY = "use only Latin letters, digits and . _ : -, first a letter or a digit (in a mapping file:"

MISTAKES = {
    "base64": Mistake(base64.b64encode(JSON), "base64", BASE64),
    "base64 as text of JSON": Mistake(b'"' + base64.b64encode(JSON) + b'"', "base64", BASE64),
    "gzip": Mistake(
        gzip.compress(JSON), "compressed", "compressed (gzip): send the JSON uncompressed"
    ),
    "UTF-16 with a byte order mark": Mistake(JSON.decode().encode("utf-16"), "utf_16", UTF_16),
    "UTF-16 without one": Mistake(JSON.decode().encode("utf-16-be"), "utf_16", UTF_16),
    "UTF-32": Mistake(
        JSON.decode().encode("utf-32"), "not_utf8", "the text is UTF-32: encode the JSON as UTF-8"
    ),
    "null for an optional field": of_image(
        "null", "$.image.description: null: leave the field out", description=None
    ),
    "null for an attribute": of_image(
        "null",
        "$.image.attributes.b: null: leave the field out",
        attributes={"a": "x", "b": None},
    ),
    "null for a tag": of_image(
        "null", "$.image.tags[1]: null: leave the tag out", tags=["a", None]
    ),
    "null for a name": of_image("null", "$.image.name: null: write a value", name=None),
    "null for the image": of_event(
        "null",
        "$.image: null: leave the field out in image.deleted; in other events, send the whole "
        "image",
        image=None,
    ),
    "a version as text": of_event(
        "number_as_text",
        '$.version: the number is in quotes: write 1024 instead of "1024"',
        version="1024",
    ),
    "a width as text": of_image(
        "number_as_text",
        '$.image.width: the number is in quotes: write 640 instead of " 0640.0 "',
        width=" 0640.0 ",
    ),
    "a decimal point": of_event(
        "decimal_point",
        "$.version: the number is not written as an integer: write 1024 instead of 1024.0",
        version=1024.0,
    ),
    "an exponent": of_image(
        "decimal_point",
        "$.image.width: the number is not written as an integer: write 1000 instead of 1e3",
        width=msgspec.Raw(b"1e3"),
    ),
    "an id that is too long": of_event(
        "id_too_long",
        "$.image_id: 257 characters, at most 256: shorten it, or use a hash of it (in a mapping "
        'file: id = "hash")',
        image_id="a/" + "b" * 255,
    ),
    "an id with a slash": of_event(
        "id_characters",
        f'$.image_id: "1982/12" has "/": {ONLY} id = "escape")',
        image_id="1982/12",
    ),
    "an id that begins with a dot": of_event(
        "id_characters",
        f'$.image_id: ".hidden" begins with ".": {ONLY} id = "escape")',
        image_id=".hidden",
    ),
    "JSON in JSON": Mistake(
        msgspec.json.encode(JSON.decode()),
        "schema",
        "the record is a string with JSON in it: encode the event once, not twice",
    ),
    "a lone surrogate at the end": Mistake(
        rb'{"type":"\ud800"}',
        "not_json",
        "a text has a lone surrogate (half of a character): remove it",
    ),
    "cut off": Mistake(
        JSON[:-1],
        "not_json",
        f"the JSON ends too early (byte {len(JSON) - 1}, near `{JSON[-17:-1].decode()}`): complete "
        "it",
    ),
    "several events": Mistake(
        b"[" + JSON + b"]", "schema", "the record is an array: send one JSON object per record"
    ),
    "a long attribute": of_image(
        "schema",
        "$.image.attributes.note: 8193 bytes of UTF-8, at most 8192: shorten it",
        attributes={"a": "x", "note": "x" * 8193},
    ),
    "a long attribute, in bytes only": of_image(
        "schema",
        "$.image.attributes.note: 8196 bytes of UTF-8, at most 8192: shorten it",
        attributes={"a": "x", "note": "€" * 2732},
    ),
    "a number as an attribute": of_image(
        "schema",
        "$.image.attributes.b: expected a string, got an integer: write a string, in quotes",
        attributes={"a": "x", "b": 1},
    ),
    "the name of an attribute": of_image(
        "schema",
        '$.image.attributes: "Height (cm)" cannot be the name of an attribute: write first a Latin '
        "letter, then letters, digits, `_` and `-`, at most 64 in all",
        attributes={"Height (cm)": "x"},
    ),
    "65 attributes": of_image(
        "schema",
        "$.image.attributes: 65 attributes, at most 64: remove some",
        attributes={f"a{number}": "" for number in range(65)},
    ),
    "a text that is no number": of_image(
        "schema",
        "$.image.width: expected an integer, got a string: write an integer, without quotes or "
        "decimal point",
        width="640 px",
    ),
    "a number with a fraction": of_image(
        "schema",
        "$.image.width: expected an integer, got a number with a fraction: write an integer, "
        "without quotes or decimal point",
        width=1024.5,
    ),
    "a number out of range": Mistake(
        b'{"version":1e999}',
        "schema",
        "$.version: 1e999 is out of range: write an integer, without quotes or decimal point",
    ),
    "a field of the image": of_event(
        "schema",
        'unknown field `name`: write it inside `image`: {"image": {"name": ...}}',
        name="Low tide",
    ),
    "a field of the event": of_image(
        "schema",
        "$.image: unknown field `image_id`: write it beside `image`, not inside",
        image_id="T1",
    ),
    "a field in another writing": of_image(
        "schema", "$.image: unknown field `takenAt`: write `taken_at`", takenAt="x"
    ),
    "a field that no event has": of_event(
        "schema",
        "unknown field `artist`: remove it, or make it a string in image.attributes (a mapping "
        "file does this)",
        artist="Turner",
    ),
    "an object around the events": Mistake(
        b'{"total":1,"images":[' + JSON + b"]}",
        "schema",
        "no `image_id`: if the images are the objects inside `images`, send each object as a "
        "record (a file may have an array of them); otherwise, use a mapping file",
    ),
    "an empty id": of_event("schema", "$.image_id: empty: write the ID of the image", image_id=""),
}


def refusal(data: bytes) -> InvalidEventError:
    with pytest.raises(InvalidEventError) as caught:
        decode(data)
    return caught.value


@pytest.mark.parametrize("mistake", MISTAKES.values(), ids=MISTAKES)
def test_each_mistake_has_its_reason_and_its_words(mistake: Mistake) -> None:
    found = refusal(mistake.data)
    assert (found.reason, found.detail) == (mistake.reason, mistake.detail)


_ONE = "send one JSON object per record"
NOT_JSON = [
    (b"{", "the JSON ends too early (byte 1, near `{`): complete it"),
    (b'{"a":1},', 'something follows the JSON (byte 8, near `{"a":1},`): remove it, or'),
    (b'{"a":1}{"b":2}', "something follows the JSON"),
    (b'{"a":1} // note', "something follows the JSON"),
    (b'{"a":1,}', 'a comma has nothing after it (byte 7, near `{"a":1,}`): remove it'),
    (b'{"a":[1,]}', "a comma has nothing after it"),
    (b"{'a':1}", "a name is not in double quotes (byte 1, near `{'a':1}`): write \"name\""),
    ("{“a”:1}".encode(), "a name is not in double quotes (byte 1, near `{“a”:1}`)"),
    (b"{a:1}", "a name is not in double quotes"),
    (b'{"a" 1}', "a name has no colon after it (byte 5, near"),
    (b'{"a":1 "b":2}', "a comma or a closing bracket is missing (byte 7, near"),
    (b'["a";"b"]', "a comma or a closing bracket is missing"),
    (rb'{"a":"C:\works"}', r"JSON does not allow this character after a backslash (byte 9, near"),
    (rb'{"a":"\u12g4"}', "JSON does not allow this character after a backslash"),
    (b'{"a":01}', "this number does not have the form of JSON (byte 6, near"),
    (b'{"a":1.}', "this number does not have the form of JSON"),
    (b'{"a":"x\ty"}', r"a string has a control character (byte 7, near `{"),
    (b'{"a":NaN}', 'this is not a value of JSON (byte 5, near `{"a":NaN}`): write a string in d'),
    (b'{"a":True}', "this is not a value of JSON"),
    ('{"a":“x”}'.encode(), "this is not a value of JSON"),
    (b"hello", f"the record is not JSON, it begins with `hello`: {_ONE}"),
    (
        b"\n- image_id: 7\n  name: x",
        "the record is not JSON, it begins with `- image_id: 7 name: x`",
    ),
    (b"None", "the record is not JSON, it begins with `None`"),
    (b"// comment", "the record is not JSON, it begins with `// comment`"),
    ("€".encode() * 99, f"the record is not JSON, it begins with `{'€' * 10}`"),
]


@pytest.mark.parametrize(("data", "says"), NOT_JSON, ids=[says[:40] for _, says in NOT_JSON])
def test_data_that_is_not_json_is_refused_in_our_words(data: bytes, says: str) -> None:
    found = refusal(data)
    assert found.reason == "not_json"
    assert found.detail.startswith(says)


@given(st.binary(max_size=40), st.sampled_from([b"", b"{", b'{"a":', b'{"a":"', b"[1,"]))
def test_no_refusal_has_the_words_of_the_decoder(noise: bytes, begin: bytes) -> None:
    detail = ""
    try:
        decode(begin + noise)
    except InvalidEventError as invalid:
        detail = invalid.detail
    assert "JSON is malformed" not in detail
    assert "Input data" not in detail


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b'{"type":"FeatureCollection","features":[{"type":"Feature"}]}', "features"),
        (b'{"Item":{"image_id":{"S":"T1"},"name":{"S":"x"}}}', "Item"),
        (b'{"T1":{"name":"x"},"T2":{"name":"y"}}', "T1"),
        (b'{"id":7,"people":[{"name":"Ann"}]}', "people"),
    ],
)
def test_an_object_around_the_images_is_named_whatever_else_is_wrong(
    data: bytes, name: str
) -> None:
    said = f"no `image_id`: if the images are the objects inside `{name}`, send each object as a"
    assert refusal(data).detail.startswith(said)


@pytest.mark.parametrize(
    "data", [b"{}", b'{"id":7,"camera":{"maker":"Z"}}', b'{"image":{},"people":[{}]}', b'{"x":[1]}']
)
def test_an_object_in_a_record_alone_does_not_make_it_one_around_images(data: bytes) -> None:
    assert "the objects inside" not in refusal(data).detail


@pytest.mark.parametrize(
    "data",
    [
        base64.urlsafe_b64encode(msgspec.json.encode(image_event(image=image("ÿ?>ÿÿ~ü")))),
        base64.encodebytes(JSON),
        base64.b64encode(JSON).rstrip(b"="),
        base64.b64encode(b" \r\n" + JSON),
        base64.b64encode(JSON)[:-3],
        base64.b64encode(base64.b64encode(JSON)),
        base64.b64encode(base64.b64encode(base64.b64encode(JSON))),
        base64.b64encode(gzip.compress(JSON)),
        base64.b64encode(JSON.decode().encode("utf-16")),
        base64.b64encode(b"{}    "),
        base64.b64encode(JSON + b" " * MAX_EVENT_BYTES),
    ],
)
def test_base64_of_an_event_is_found_in_each_of_its_forms(data: bytes) -> None:
    assert refusal(data).reason == "base64"


@pytest.mark.parametrize(
    "data", [b"hello", b"thumbnail", b"eyes", b"12345678", b'"aGVsbG8="', b"deadbeef" * 8, b"true"]
)
def test_other_words_are_not_taken_for_base64(data: bytes) -> None:
    assert refusal(data).reason in {"not_json", "schema"}


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (gzip.compress(JSON * 4_000 + bytes(MAX_EVENT_BYTES), compresslevel=0), "gzip"),
        *((zlib.compress(JSON, level), "zlib") for level in (1, 6, 9)),
        (bz2.compress(JSON), "bzip2"),
        (lzma.compress(JSON), "xz"),
        (bytes.fromhex("28b52ffd2000010000"), "zstd"),  # RFC 8878, section 3.1.1
        (b"PK\x03\x04", "zip"),
    ],
)
def test_a_compressed_record_is_named_by_its_compression_also_if_it_is_too_large(
    data: bytes, name: str
) -> None:
    assert refusal(data).detail == f"compressed ({name}): send the JSON uncompressed"


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("cut", [0, 1, 2, 3])
def test_utf_16_is_found_also_if_it_is_cut_off_or_too_large(encoding: str, cut: int) -> None:
    for text in (JSON.decode(), "\n" + JSON.decode(), JSON.decode() + " " * MAX_EVENT_BYTES):
        data = text.encode(encoding)
        assert refusal(data[: len(data) - cut]).reason == "utf_16"


@pytest.mark.parametrize(
    "data",
    [b"\0abc", b"a\0\0\0", b"\0\0\0\0", b"x\0", b"{\0" + JSON[1:], JSON + b"\0\0\0\0"],
)
def test_bytes_with_nul_are_not_taken_for_utf_16(data: bytes) -> None:
    assert refusal(data).reason == "not_json"


def test_of_two_mistakes_the_first_one_is_named() -> None:
    both = JSON.replace(b'"version":1', b'"version":"1","occurred_at":null')
    assert refusal(both).reason == "number_as_text"


@pytest.mark.parametrize(
    "field",
    [b'"version":"1","version":1', b'"version":null,"version":1', b'"version":1.0,"version":"x"'],
)
def test_a_field_that_is_there_twice_is_refused_whatever_comes_later(field: bytes) -> None:
    assert refusal(JSON.replace(b'"version":1', field)).detail.startswith("$.version: ")


def test_the_guide_explains_each_reason() -> None:
    guide = (ROOT / "docs" / "guides" / "quarantine.md").read_text()
    rows = {row[1] for row in re.finditer(r"^\| `(\w+)` \| \w", guide, re.MULTILINE)}
    assert {*get_args(Reason), "given_up"} <= rows


fields = st.sampled_from([*EVENT, "name", "width", "tags", "attributes", "taken_at", "x"])
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=4,
)


@given(st.lists(st.tuples(fields, values), max_size=8), st.lists(st.tuples(fields, values)))
def test_names_that_are_there_twice_give_only_the_documented_error(
    outer: list[tuple[str, Any]], inner: list[tuple[str, Any]]
) -> None:
    """What the decoder met may not be what is found afterwards."""

    def written(pairs: list[tuple[str, Any]]) -> str:
        return ",".join(f"{json.dumps(name)}:{json.dumps(value)}" for name, value in pairs)

    data = f'{{{written([*EVENT.items(), *outer])},"image":{{{written(inner)}}}}}'.encode()
    found: InvalidEventError | None = None
    try:
        decode(data)
    except InvalidEventError as invalid:
        found = invalid
    if found is not None:
        assert found.reason in get_args(Reason)
        assert "Expected `" not in found.detail or "be there twice" in found.detail
