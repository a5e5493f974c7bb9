"""The two functions of the picture bucket behind the gate: runs that use each of their rights."""

import uuid
from collections.abc import Callable
from typing import Any

from lockstep.local.mapping.invocation import ACCOUNT
from lockstep.make_thumbnails import handler as make_thumbnails
from lockstep.pictures_to_events import handler as pictures_to_events
from lockstep.pictures_to_events.notifications import notification
from lockstep.stack.stack import PictureStores
from shared.picture_ids import PREFIX
from tests.contract.pictures.conftest import picture
from tests.gate.conftest import GatedStack
from tests.gate.invocation import Invocation

# More than the longest look at a key.
_SECONDS = 300


def picture_environment(gated: GatedStack) -> dict[str, str]:
    """The variables that the template gives the functions of the picture bucket."""
    stack, stores = gated.stage.stack, _stores(gated)
    queues = f"{gated.urls['sqs']}/{ACCOUNT}"
    return {
        "PICTURE_BUCKET": stores.bucket,
        "PICTURE_ROWS_TABLE": stores.rows,
        "PICTURE_DEAD_LETTERS": f"{queues}/PictureDeadLetters",
        "PICTURE_CHECKSUM_MIB": "512",
        "PICTURE_TIME_ZONE": "UTC",
        "PICTURE_POSITIONS": "no",
        "THUMBNAIL_BUCKET": stores.thumbnails,
        "THUMBNAIL_DEAD_LETTERS": f"{queues}/ThumbnailDeadLetters",
        "STREAM_NAME": stack.stream,
    }


def look(gated: GatedStack) -> None:
    """A new picture, a key without a picture, and a message that is no notification."""
    new = _stored(gated)
    _invoke(gated, pictures_to_events.handle, new, f"{PREFIX}{uuid.uuid4().hex}")


def draw(gated: GatedStack) -> None:
    """The same; the picture that is gone has left a thumbnail."""
    gone = uuid.uuid4().hex
    left_over = f"{gone}/{'0' * 64}-320.webp"
    gated.stage.clients.s3.put_object(
        Bucket=_stores(gated).thumbnails, Key=left_over, Body=picture()
    )
    new = _stored(gated)
    _invoke(gated, make_thumbnails.handle, new, PREFIX + gone)
    pages = gated.stage.clients.s3.list_objects_v2(Bucket=_stores(gated).thumbnails)
    keys = [one["Key"] for one in pages.get("Contents", ())]
    assert left_over not in keys
    assert sum(key.startswith(new.removeprefix(PREFIX)) for key in keys) == 2


def _stored(gated: GatedStack) -> str:
    """The key of a picture that the bucket has, and that nobody has looked at."""
    key = f"{PREFIX}{uuid.uuid4().hex}.jpg"
    gated.stage.clients.s3.put_object(Bucket=_stores(gated).bucket, Key=key, Body=picture())
    return key


def _invoke(gated: GatedStack, handle: Callable[..., Any], *keys: str) -> None:
    bucket = _stores(gated).bucket
    bodies = [*(notification(bucket, key, "Object Created") for key in keys), "no notification"]
    records = [
        {"messageId": str(number), "body": body} for number, body in enumerate(bodies, start=1)
    ]
    answer = handle({"Records": records}, Invocation(_SECONDS))
    assert answer == {"batchItemFailures": []}, answer


def _stores(gated: GatedStack) -> PictureStores:
    stores = gated.stage.stack.pictures
    assert stores is not None
    return stores
