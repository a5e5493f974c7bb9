"""What S3 says of the parts of an object, and what moto and S3Proxy do not say."""

import base64
import hashlib
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.stub import ANY, Stubber

from lockstep.pictures.bucket.transfer import Parts, StoredFile, Transfer

CONTENT = b"0123456789"


@pytest.fixture
def source(tmp_path: Path) -> StoredFile:
    (tmp_path / "a").write_bytes(CONTENT)
    parts = Parts(4)
    assert list(parts.read([CONTENT])) == [CONTENT]
    return StoredFile(tmp_path / "a", "image/png", parts.size_bytes, 4, parts.digests)


def _sha256(data: bytes) -> str:
    return base64.b64encode(hashlib.sha256(data).digest()).decode()


def _composite(*parts: bytes) -> str:
    digest = hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).digest()
    return base64.b64encode(digest).decode()


@pytest.fixture
def s3() -> Any:
    return boto3.client(
        "s3",
        region_name="us-east-1",
        aws_access_key_id="x",
        aws_secret_access_key="x",
    )


@pytest.mark.parametrize(
    ("checksum", "stored"),
    [
        (f"{_composite(b'0123', b'4567', b'89')}-3", "this"),
        (f"{_composite(b'0123', b'4567', b'88')}-3", "another"),
        (_sha256(CONTENT), "another"),
    ],
)
def test_the_checksum_of_all_parts_tells_whether_an_object_is_the_file(
    s3: Any, source: StoredFile, checksum: str, stored: str
) -> None:
    answer = {"ContentLength": 10, "ETag": '"of a key of its own"', "ChecksumSHA256": checksum}
    with Stubber(s3) as stub:
        stub.add_response("head_object", answer, {"Bucket": "b", "Key": "k", "ChecksumMode": ANY})
        assert Transfer(s3, "b").compare("k", source) == stored


def test_a_part_with_another_checksum_is_sent_again(s3: Any, source: StoredFile) -> None:
    begun = {"Uploads": [{"Key": "k", "UploadId": "u", "Initiated": 0}]}
    there = [
        {"PartNumber": 1, "Size": 4, "ETag": '"1"', "ChecksumSHA256": _sha256(b"0123")},
        {"PartNumber": 2, "Size": 4, "ETag": '"2"', "ChecksumSHA256": _sha256(b"????")},
    ]
    upload = {"Bucket": "b", "Key": "k", "UploadId": "u"}
    with Stubber(s3) as stub:
        stub.add_response("list_multipart_uploads", begun, {"Bucket": "b", "Prefix": "k"})
        stub.add_response("list_parts", {"Parts": there}, upload)
        for number, data in ((2, b"4567"), (3, b"89")):
            sent = {"PartNumber": number, "Body": data, "ChecksumSHA256": _sha256(data)}
            stub.add_response("upload_part", {"ETag": f'"new {number}"'}, upload | sent)
        stub.add_response("complete_multipart_upload", {}, upload | {"MultipartUpload": ANY})
        Transfer(s3, "b").store("k", source)
        stub.assert_no_pending_responses()
