"""The table of rows on the real engine, and the picture bucket of a local stack."""

import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from functions.write_to_dynamodb.table import ensure_table
from lockstep.local.prepare import prepare
from lockstep.pictures.alignment import PictureRow
from lockstep.pictures.bucket import rows
from lockstep.pictures.bucket.rows import SALT, PictureRows, salt_of
from lockstep.pictures.reading import PictureSettings
from lockstep.stack.clients import Clients
from lockstep.stack.stack import LOCAL_REGION, Endpoints, PictureStores, Stack
from lockstep.stack.use_cases.pictures import (
    NoPictureBucketError,
    bucket_pictures,
    key_aligner,
    picture_rows,
    picture_stores,
)
from shared.picture_ids import PREFIX
from tests.contract.pictures.conftest import Place, picture

KEY = PREFIX + "a.jpg"


def test_the_table_of_rows_is_made_once_with_its_time_to_live(place: Place) -> None:
    ensure_table(place.dynamodb, place.rows, key=rows.KEY)
    made = place.dynamodb.describe_table(TableName=place.rows)["Table"]
    assert made["KeySchema"] == [{"AttributeName": "key", "KeyType": "HASH"}]
    purge = place.dynamodb.describe_time_to_live(TableName=place.rows)["TimeToLiveDescription"]
    assert purge == {"TimeToLiveStatus": "ENABLED", "AttributeName": "expires_at"}


def test_all_who_ask_at_the_same_time_get_one_salt_and_it_stays(place: Place) -> None:
    with ThreadPoolExecutor(8) as pool:
        salts = {*pool.map(lambda _: salt_of(place.dynamodb, place.rows), range(16))}
    (salt,) = salts
    assert len(salt) == 32
    (item,) = place.stored_rows()
    assert item["key"] == {"S": SALT}
    assert "expires_at" not in item


def test_with_another_salt_a_row_is_not_found(place: Place) -> None:
    rows = PictureRows(place.dynamodb, place.rows, b"one")
    assert rows.write("a.jpg", PictureRow(counter=1), 0, place.now)
    assert rows.read("a.jpg") == PictureRow(counter=1)
    assert PictureRows(place.dynamodb, place.rows, b"two").read("a.jpg") is None


def _stack(endpoints: Endpoints, state: Path, pictures: PictureStores | None) -> Stack:
    name = f"pictures-{uuid.uuid4().hex[:12]}"
    return Stack(
        endpoints,
        stream=name,
        table=name,
        index=name,
        bucket=name,
        region=LOCAL_REGION,
        functions={},
        state=str(state),
        pictures=pictures,
    )


@pytest.fixture
def endpoints(
    kinesis_endpoint: str, dynamodb_endpoint: str, opensearch_endpoint: str, s3_endpoint: str
) -> Endpoints:
    return Endpoints(kinesis_endpoint, dynamodb_endpoint, opensearch_endpoint, s3_endpoint)


def test_a_local_stack_is_prepared_for_pictures_and_a_second_time_keeps_them(
    endpoints: Endpoints, tmp_path: Path
) -> None:
    name = uuid.uuid4().hex[:12]
    names = PictureStores(f"pictures-{name}", f"rows-{name}", f"thumbnails-{name}")
    clients = Clients(_stack(endpoints, tmp_path, names))
    prepare(clients.stack, clients, shards=1)
    clients.s3.put_object(Bucket=names.bucket, Key=KEY, Body=picture())
    outcomes: list[Any] = []
    for _ in range(2):
        prepare(clients.stack, clients, shards=1)
        pictures = bucket_pictures(clients, PictureSettings(zone=UTC))
        outcomes.append(key_aligner(clients, pictures, picture_rows(clients)).align(KEY))
    assert outcomes == ["put", "unchanged"]
    assert clients.s3.list_objects_v2(Bucket=names.thumbnails)["KeyCount"] == 0


def test_a_stack_without_a_picture_bucket_is_told_how_to_get_one(
    endpoints: Endpoints, tmp_path: Path
) -> None:
    local = _stack(endpoints, tmp_path, None)
    with pytest.raises(NoPictureBucketError, match="restart it"):
        picture_stores(Clients(local))
    with pytest.raises(NoPictureBucketError, match="Pictures=yes"):
        picture_rows(Clients(replace(local, state=None)))
