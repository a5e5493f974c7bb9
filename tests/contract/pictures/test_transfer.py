"""Files are stored in a real bucket, completely, and not again after an interruption."""

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from lockstep.pictures.bucket.transfer import (
    MIN_PART_BYTES,
    ChangedWhileReadError,
    Parts,
    StoredFile,
    Transfer,
)
from tests.contract.pictures.conftest import Place

KEY = "pictures/a.bin"
LARGE = MIN_PART_BYTES * 2 + 1234


class Bucket:
    """A bucket, and the sizes of what was sent to it."""

    def __init__(self, client: Any, name: str) -> None:
        self.client, self.name = client, name
        self.sent: list[int] = []
        self.fails_at: int | None = None
        client.meta.events.register("before-parameter-build.s3", self._note)

    def _note(self, params: Mapping[str, Any], model: Any, **_: Any) -> None:
        if model.name in {"PutObject", "UploadPart"}:
            if len(self.sent) == self.fails_at:
                raise ConnectionError("killed")
            body = params["Body"]
            self.sent.append(len(body if isinstance(body, bytes) else body.getbuffer()))

    def content(self, key: str = KEY) -> bytes:
        body: bytes = self.client.get_object(Bucket=self.name, Key=key)["Body"].read()
        return body

    def transfer(self) -> Transfer:
        return Transfer(self.client, self.name)


@pytest.fixture(params=["s3proxy", "s3 with checksums"])
def bucket(request: pytest.FixtureRequest) -> Iterator[Bucket]:
    """S3Proxy, which keeps no checksums, and moto, which does."""
    if request.param == "s3proxy":
        place: Place = request.getfixturevalue("place")
        yield Bucket(place.s3, place.name)
        return
    with mock_aws():
        client = boto3.client("s3", region_name="us-east-1")
        client.create_bucket(Bucket="pictures")
        yield Bucket(client, "pictures")


def _source(path: Path, content: bytes, part_bytes: int = MIN_PART_BYTES) -> StoredFile:
    path.write_bytes(content)
    parts = Parts(part_bytes)
    assert b"".join(parts.read([content[:7], content[7:]])) == content
    return StoredFile(path, "image/png", parts.size_bytes, part_bytes, parts.digests)


def _bytes(count: int, seed: bytes = b"a") -> bytes:
    block = hashlib.sha512(seed).digest() * 1024
    return (block * (count // len(block) + 1))[:count]


@pytest.mark.parametrize("size", [0, 1, MIN_PART_BYTES, MIN_PART_BYTES + 1, LARGE])
def test_what_is_stored_is_the_file_and_is_known_again(
    bucket: Bucket, tmp_path: Path, size: int
) -> None:
    source, transfer = _source(tmp_path / "a", _bytes(size)), bucket.transfer()
    assert transfer.compare(KEY, source) == "nothing"
    transfer.store(KEY, source)
    assert transfer.compare(KEY, source) == "this"
    assert bucket.content() == _bytes(size)
    head = bucket.client.head_object(Bucket=bucket.name, Key=KEY)
    assert head["ContentType"] == "image/png"
    other = _source(tmp_path / "b", _bytes(size, b"b") or b"b")
    assert transfer.compare(KEY, other) == "another"


def test_an_interrupted_file_is_resumed_at_the_part_that_is_missing(
    bucket: Bucket, tmp_path: Path
) -> None:
    source = _source(tmp_path / "a", _bytes(LARGE))
    bucket.fails_at = 2
    with pytest.raises(ConnectionError):
        bucket.transfer().store(KEY, source)
    bucket.fails_at = None
    bucket.transfer().store(KEY, source)
    assert bucket.sent == [MIN_PART_BYTES, MIN_PART_BYTES, 1234]
    assert bucket.content() == _bytes(LARGE)
    assert bucket.transfer().compare(KEY, source) == "this"


def test_a_file_that_changed_since_is_not_mixed_with_the_parts_of_the_old_one(
    bucket: Bucket, tmp_path: Path
) -> None:
    bucket.fails_at = 2
    with pytest.raises(ConnectionError):
        bucket.transfer().store(KEY, _source(tmp_path / "a", _bytes(LARGE)))
    bucket.fails_at = None
    content = _bytes(MIN_PART_BYTES) + _bytes(LARGE - MIN_PART_BYTES, b"b")
    source = _source(tmp_path / "a", content)
    bucket.transfer().store(KEY, source)
    assert bucket.content() == content
    assert bucket.transfer().compare(KEY, source) == "this"


@pytest.mark.parametrize("size", [100, LARGE])
@pytest.mark.parametrize("change", [lambda old: old + b"more", lambda old: old[:-1] + b"?"])
def test_a_file_that_changes_while_it_is_read_is_not_stored(
    bucket: Bucket, tmp_path: Path, size: int, change: Any
) -> None:
    source = _source(tmp_path / "a", _bytes(size))
    source.path.write_bytes(change(_bytes(size)))
    with pytest.raises(ChangedWhileReadError, match="upload it again"):
        bucket.transfer().store(KEY, source)
    assert bucket.client.list_objects_v2(Bucket=bucket.name)["KeyCount"] == 0


def test_the_upload_of_another_key_with_the_same_start_is_left_alone(
    bucket: Bucket, tmp_path: Path
) -> None:
    bucket.fails_at = 1
    with pytest.raises(ConnectionError):
        bucket.transfer().store(KEY + ".jpg", _source(tmp_path / "b", _bytes(LARGE, b"b")))
    bucket.fails_at = None
    source = _source(tmp_path / "a", _bytes(LARGE))
    bucket.transfer().store(KEY, source)
    assert bucket.content() == _bytes(LARGE)
