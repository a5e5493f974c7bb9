"""Exports in S3: the items are read as the table held them, in either format, or not at all."""

import datetime as dt
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from amazon.ion import simpleion

from lockstep.rebuild.export import Export, ExportError, low_level
from lockstep.stack.clients import Clients
from lockstep.stack.stack import LOCAL_REGION, Endpoints, Stack
from lockstep.stores.image_state import Intact, Malformed
from lockstep.stores.readers import StoreUnreadableError
from shared.horizon import HORIZON
from shared.item import item_from
from tests.builders import change, image
from tests.contract.rebuild.exports import ID, ion, put_export

TABLE = "images"
NOW = dt.datetime.now(dt.UTC)
OUTPUTS = ["DYNAMODB_JSON", "ION"]

CHANGES = [
    change(
        "T1",
        2**53 - 1,
        image=image('Ünïcode "quoted"\n', width=600, tags=["a", "b"], attributes={"x": "y"}),
    ),
    change("T2", 7, "image.deleted"),
    change("T3", 1000),
    change("T4", 1),
]


@pytest.fixture(scope="module")
def s3(s3_endpoint: str) -> Any:
    name = "unused"
    endpoints = Endpoints(None, None, "http://127.0.0.1:9", s3_endpoint)
    stack = Stack(endpoints, name, name, name, name, LOCAL_REGION, {}, state="none")
    return Clients(stack).s3


@pytest.fixture
def bucket(s3: Any) -> str:
    name = f"export-{uuid.uuid4().hex[:12]}"
    s3.create_bucket(Bucket=name)
    return name


def opened(s3: Any, uri: str) -> Export:
    return Export(s3, uri, TABLE, now=NOW)


@pytest.mark.parametrize("output", OUTPUTS)
def test_its_items_are_what_the_table_held(s3: Any, bucket: str, output: str) -> None:
    items = [item_from(one) for one in CHANGES]
    uri = put_export(s3, bucket, [items[:1], [], items[1:]], table=TABLE, output=output)
    export = opened(s3, uri)
    assert (export.name, export.count()) == (f"export {ID}", 4)
    read = [one for page in export.pages(None) for one in page.images]
    assert read == [(one.image_id, Intact(one, one.version)) for one in CHANGES]
    summary = opened(s3, f"{uri}/manifest-summary.json")
    assert summary.count() == 4


@pytest.mark.parametrize("output", OUTPUTS)
def test_reading_resumes_at_any_position(s3: Any, bucket: str, output: str) -> None:
    changes = [change(f"T{number}", number + 1) for number in range(1_203)]
    items = [item_from(one) for one in changes]
    uri = put_export(s3, bucket, [items[:1_100], items[1_100:]], table=TABLE, output=output)
    pages = list(opened(s3, uri).pages(None))
    assert [page.position for page in pages] == ["0:500", "0:1000", "0:1100", "1:103", None]
    read: list[str] = []
    for page in pages:
        rest = [i for one in opened(s3, uri).pages(page.position) for i, _ in one.images]
        read += [image_id for image_id, _ in page.images]
        if page.position is not None:
            assert read + rest == [one.image_id for one in changes]


@pytest.mark.parametrize("output", OUTPUTS)
def test_an_item_that_no_sink_wrote_is_malformed(s3: Any, bucket: str, output: str) -> None:
    item = {
        "image_id": {"S": "theirs"},
        "sizes": {"NS": ["1", "2.5"]},
        "words": {"SS": ["a", "b"]},
        "nothing": {"NULL": True},
        "list": {"L": [{"N": "-3"}, {"M": {"deep": {"BOOL": False}}}]},
    }
    uri = put_export(s3, bucket, [[item]], table=TABLE, output=output)
    (page, _) = opened(s3, uri).pages(None)
    ((image_id, held),) = page.images
    assert image_id == "theirs"
    assert isinstance(held, Malformed)


@pytest.mark.parametrize(
    "value",
    [
        {"S": "ü\n\"'{}"},
        {"N": "12345678901234567890123456789012345678"},
        {"N": "-0.5"},
        {"B": b"\x00\xff"},
        {"BOOL": True},
        {"NULL": True},
        {"SS": ["a", "b"]},
        {"NS": ["1", "2.5"]},
        {"BS": [b"a", b"\xff"]},
        {"L": [{"S": "a"}, {"L": []}]},
        {"M": {"a b": {"N": "1"}, "": {"M": {}}}},
    ],
)
def test_an_ion_value_is_read_exactly(value: dict[str, Any]) -> None:
    assert low_level(simpleion.loads(ion(value))) == value


def test_a_number_with_an_exponent_is_the_number() -> None:
    assert low_level(simpleion.loads("6d2")) == {"N": "600"}
    assert low_level(simpleion.loads("12d-1")) == {"N": "1.2"}


@pytest.mark.parametrize(
    ("summary", "why"),
    [
        ({"exportType": "INCREMENTAL_EXPORT"}, "make a full export"),
        ({"tableArn": "arn:aws:dynamodb:us-east-1:0:table/other"}, "of table other, not of images"),
        ({"exportTime": NOW - HORIZON}, "could restore deleted images"),
        ({"itemCount": 9}, "its files hold 1 items, its summary says 9"),
        ({"outputFormat": "CSV"}, "not a manifest of an export"),
        ({"version": "2031-01-01"}, "2031-01-01: only 2020-06-30"),
        ({"manifestFilesS3Key": "nowhere"}, "nowhere does not exist"),
    ],
)
def test_an_unsuitable_export_is_refused(
    s3: Any, bucket: str, summary: dict[str, Any], why: str
) -> None:
    uri = put_export(s3, bucket, [[item_from(CHANGES[0])]], table=TABLE, **summary)
    with pytest.raises(ExportError, match=why):
        opened(s3, uri)


@pytest.mark.parametrize("uri", ["images", "s3://bucket", "https://bucket/x", "s3:///x"])
def test_an_invalid_s3_address_is_refused(s3: Any, uri: str) -> None:
    with pytest.raises(ExportError, match="s3://BUCKET"):
        opened(s3, uri)


def _cut(body: bytes) -> bytes:
    return body[:-9]


def _flipped(body: bytes) -> bytes:
    return body[:20] + bytes([body[20] ^ 1]) + body[21:]


@pytest.mark.parametrize("spoil", [_cut, _flipped])
@pytest.mark.parametrize("output", OUTPUTS)
def test_nothing_of_a_damaged_file_is_used(
    s3: Any, bucket: str, output: str, spoil: Callable[[bytes], bytes]
) -> None:
    uri = put_export(s3, bucket, [[item_from(one) for one in CHANGES]], table=TABLE, output=output)
    key = f"nightly/AWSDynamoDB/data/0.{output[-4:].lower()}.gz"
    body = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    s3.put_object(Bucket=bucket, Key=key, Body=spoil(body))
    pages = opened(s3, uri).pages(None)
    with pytest.raises(StoreUnreadableError, match="does not match its checksum"):
        next(pages)


def test_a_missing_bucket_is_reported(s3: Any) -> None:
    with pytest.raises(StoreUnreadableError, match=r"/x/manifest-summary\.json: An error occurred"):
        opened(s3, "s3://no-such-bucket/x")
