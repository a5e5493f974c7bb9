"""The thumbnails of a local stack, by the same code as in Lambda, with a queue of their own.

    python -m lockstep.make_thumbnails.local --state FOLDER [--trouble]

With `--trouble`, notifications come late, up to three times, and so out of order.
"""

from collections.abc import Callable
from datetime import UTC
from typing import Final

from lockstep.make_thumbnails.keeping import ThumbnailBucket, ThumbnailKeeper
from lockstep.make_thumbnails.sandbox import draw_in_sandbox
from lockstep.pictures.reading import PictureSettings
from lockstep.pictures_to_events.local import run
from lockstep.stack.clients import Clients
from lockstep.stack.use_cases.pictures import bucket_pictures, picture_stores

QUEUE: Final = "thumbnail-notifications.db"
# As in template.yaml.
_CHECKSUM_BYTES: Final = 5120 * 1024 * 1024


def keep_thumbnails(clients: Clients) -> Callable[[str], str]:
    """What brings the thumbnails of a key in line."""
    keeper = ThumbnailKeeper(
        bucket_pictures(clients, PictureSettings(zone=UTC)),
        ThumbnailBucket(clients.s3, picture_stores(clients).thumbnails),
        draw_in_sandbox,
        checksum_bytes=_CHECKSUM_BYTES,
    )
    return keeper.keep


if __name__ == "__main__":
    run("make_thumbnails", QUEUE, keep_thumbnails)
