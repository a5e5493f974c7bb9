"""A stack with pictures, whose consumers run whenever the command waits."""

import base64
import io
import itertools
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import Result
from PIL import Image as Pixels

from lockstep.stack.stack import Endpoints
from shared.picture_ids import PREFIX
from tests.contract.erase.planting import MARKER
from tests.contract.redrive.conftest import Stage, staged
from tests.contract.redrive.conftest import endpoints as endpoints  # noqa: PLC0414 - the same


class Planted:
    """A stage, the command on it, and a search of everything that it keeps."""

    def __init__(self, stage: Stage, folder: Path) -> None:
        self.stage = stage
        self.folder = folder
        self.clients = stage.clients

    def erase(self, *words: object, code: int = 0) -> Any:
        """What `lockstep erase` prints for programs, while the consumers run."""
        result = self.run("erase", *words, "--json")
        assert result.exit_code == code, (result.output, result.exception)
        return msgspec.json.decode(result.stdout)

    def run(self, *words: object) -> Result:
        """Run a command while the consumers run."""
        ended = threading.Event()

        def consume() -> None:
            while not ended.wait(0.05):
                self.stage.drain()

        consuming = threading.Thread(target=consume)
        consuming.start()
        try:
            return self.stage.lockstep(*words)
        finally:
            ended.set()
            consuming.join()

    def picture(self) -> bytes:
        exif = Pixels.Exif()
        exif[0x010E] = MARKER
        out = io.BytesIO()
        Pixels.new("RGB", (8, 6), "red").save(out, "JPEG", exif=exif)
        return out.getvalue()

    def upload(self, key: str) -> None:
        pictures = self.stage.stack.pictures
        assert pictures is not None
        self.stage.clients.s3.put_object(
            Bucket=pictures.bucket, Key=PREFIX + key, Body=self.picture()
        )

    def objects(self) -> Iterator[tuple[str, bytes]]:
        """Every object of every bucket of the stack."""
        stack, s3 = self.stage.stack, self.stage.clients.s3
        assert stack.pictures is not None
        for bucket in (stack.bucket, stack.pictures.bucket, stack.pictures.thumbnails):
            for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket):
                for one in page.get("Contents", ()):
                    body = s3.get_object(Bucket=bucket, Key=one["Key"])["Body"].read()
                    yield f"{bucket}/{one['Key']}", body

    def items(self) -> Iterator[tuple[str, bytes]]:
        """Every item of every table of the stack."""
        stack, dynamodb = self.stage.stack, self.stage.clients.dynamodb
        assert stack.pictures is not None
        for table in (stack.table, stack.pictures.rows):
            for page in dynamodb.get_paginator("scan").paginate(TableName=table):
                for item in page["Items"]:
                    yield table, repr(item).encode()

    def documents(self) -> Iterator[tuple[str, bytes]]:
        """What the search of OpenSearch itself finds in all indices of the stack."""
        client, pattern = self.stage.clients.opensearch, f"{self.stage.stack.index}*"
        client.indices.refresh(index=pattern)
        for body in (
            {"query": {"match_all": {}}, "size": 1_000},
            {"query": {"query_string": {"query": f"*{MARKER}*"}}, "size": 1_000},
        ):
            for hit in client.search(index=pattern, body=body)["hits"]["hits"]:
                yield f"document {hit['_index']}/{hit['_id']}", msgspec.json.encode(hit)

    def with_marker(self) -> list[str]:
        """Where the marker is, through any API but that of the stream."""
        everything = itertools.chain(self.objects(), self.items(), self.documents())
        return sorted({place for place, body in everything if has_marker(body)})


def has_marker(body: bytes) -> bool:
    """Also within what is encoded in base64, at any of its three places."""
    forms = [MARKER.encode()]
    for pad in range(3):
        encoded = base64.b64encode(b"x" * pad + MARKER.encode())
        forms.append(encoded[4 if pad else 0 : -4])
    return any(form in body for form in forms)


@pytest.fixture
def planted(endpoints: Endpoints, tmp_path: Path) -> Iterator[Planted]:
    with staged(endpoints, tmp_path, thumbnails=True) as stage:
        yield Planted(stage, tmp_path)
