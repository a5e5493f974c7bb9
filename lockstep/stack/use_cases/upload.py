"""Uploading files into the picture bucket of a stack."""

import os
from collections.abc import Callable, Generator, Iterable
from functools import partial

from lockstep.pictures.bucket.aligner import ImageVersions
from lockstep.pictures.reading import PictureSettings
from lockstep.pictures.times import zone_named
from lockstep.pictures.upload.files import FileToSend
from lockstep.pictures.upload.folder_upload import FolderUpload, UploadTarget
from lockstep.pictures.upload.outcomes import RefusedFile, SentPicture
from lockstep.pictures.upload.wish import UploadWish
from lockstep.pictures.within_limits.readers import Readers
from lockstep.stack.clients import Clients
from lockstep.stack.use_cases.pictures import (
    bucket_pictures,
    key_aligner,
    picture_rows,
    picture_stores,
)


def upload(
    clients: Clients,
    files: Iterable[FileToSend],
    wish: UploadWish,
    on_progress: Callable[[int], object] = lambda _: None,
) -> Generator[SentPicture | RefusedFile]:
    """Upload files, and say what became of each, in their order; see `FolderUpload.run`.

    Args:
        clients: the stack's.
        files: the files.
        wish: what is wanted.
        on_progress: is told the bytes that need no more work, from any thread.

    Raises:
        NoPictureBucketError: the stack has no picture bucket.
    """
    settings = PictureSettings(zone=zone_named(wish.zone), gps=wish.gps)
    target = _target(clients, settings)
    processes = min(wish.jobs, os.cpu_count() or 1)
    with Readers(processes, zone=wish.zone, gps=wish.gps) as readers:
        yield from FolderUpload(target, wish, readers, on_progress).run(files)


def _target(clients: Clients, settings: PictureSettings) -> UploadTarget:
    """Where the pictures go. Its clients are made now, so that threads may share them."""
    rows = picture_rows(clients)
    aligner_of = partial(key_aligner, clients, rows=rows)
    aligner_of(bucket_pictures(clients, settings))
    return UploadTarget(
        s3=clients.s3,
        bucket=picture_stores(clients).bucket,
        settings=settings,
        rows=rows,
        versions=ImageVersions(clients.dynamodb, clients.stack.table),
        aligner_of=aligner_of,
    )
