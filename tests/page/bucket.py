"""A bucket of thumbnails in an S3 that checks signatures and their time, as Amazon's does."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from PIL import Image

from functions.search_images.presigned import SigningKeys
from lockstep.local.engines.class_archives import engine_on_free_ports
from lockstep.local.processes import start, stop, wait_until_ready
from lockstep.stack.stack import LOCAL_REGION
from tools.engines import READY_SECONDS, engine_home

KEYS = SigningKeys("reader", "secret-of-the-reader")
_WITHOUT, _WITH = (
    "s3proxy.authorization=none",
    (
        f"s3proxy.authorization=aws-v2-or-v4\n"
        f"s3proxy.identity={KEYS.access_key}\ns3proxy.credential={KEYS.secret_key}"
    ),
)


@contextmanager
def signed_s3(folder: Path) -> Iterator[str]:
    """The address of an S3Proxy that answers signed requests only."""
    service = engine_on_free_ports("s3", engine_home("s3"), folder)
    settings = folder / "s3" / "s3proxy.conf"
    text = settings.read_text("ascii")
    assert _WITHOUT in text
    settings.write_text(text.replace(_WITHOUT, _WITH), "ascii")
    child = start(service)
    try:
        wait_until_ready([child], seconds=READY_SECONDS)
        yield text.split("s3proxy.endpoint=")[1].split()[0]
    finally:
        stop([child])


def client(address: str) -> Any:
    """A client that may read and write."""
    return boto3.client(
        "s3",
        endpoint_url=address,
        region_name=LOCAL_REGION,
        aws_access_key_id=KEYS.access_key,
        aws_secret_access_key=KEYS.secret_key,
        config=Config(s3={"addressing_style": "path"}),
    )


def webp(width: int, height: int, colour: str = "teal") -> bytes:
    """A picture in one colour."""
    out = io.BytesIO()
    Image.new("RGB", (width, height), colour).save(out, "WEBP")
    return out.getvalue()
