"""Events of the pictures that are in the bucket of a stack already."""

from collections.abc import Callable, Generator, Sequence
from datetime import UTC

from lockstep.console.errors import UserError
from lockstep.pictures.alignment import Alignment, ObjectIdentity
from lockstep.pictures.bucket.rows import PictureRows, known_salt
from lockstep.pictures.reading import PictureSettings
from lockstep.stack.clients import Clients
from lockstep.stack.use_cases.pictures import (
    AlignedKey,
    bucket_pictures,
    each_key,
    key_aligner,
    picture_rows,
    picture_stores,
    pictures_below,
)
from shared.picture_ids import PREFIX, id_of_key

_S3 = "s3://"


class NotImportedError(UserError):
    """No picture of a stack can be at this address; the message says what to do."""


def pictures_at(clients: Clients, source: str) -> Sequence[tuple[str, ObjectIdentity]]:
    """The objects of an import: each key below an address, with the identity of its object.

    Args:
        clients: the stack's.
        source: `s3://BUCKET/PREFIX` in the picture bucket; without PREFIX, all of its pictures.

    Raises:
        NotImportedError: it is not in the picture bucket, or not below the prefix of the pictures.
        NoPictureBucketError: the stack has no picture bucket.
    """
    ours = picture_stores(clients).bucket
    home = f"{_S3}{ours}/{PREFIX}"
    if not source.startswith(_S3):
        raise NotImportedError(f"{source} is no address of pictures: give {home} or what is below")
    bucket, _, prefix = source.removeprefix(_S3).partition("/")
    if bucket != ours or (prefix and not prefix.startswith(PREFIX)):
        raise NotImportedError(
            f"{source} is not below {home}: copy its pictures with `aws s3 sync {source} {home}`, "
            f"and import {home}"
        )
    return [*pictures_below(clients, prefix or PREFIX)]


def import_pictures(
    clients: Clients, found: Sequence[tuple[str, ObjectIdentity]], *, applies: bool
) -> Generator[AlignedKey]:
    """Put the events that are missing, and say what became of each key, in the same order.

    A key whose row knows the same object, with its event on the stream, needs one read of that row.
    So an import that was interrupted goes on when it is repeated.

    Args:
        clients: the stack's.
        found: what `pictures_at` has found.
        applies: whether to put events. If not, no object is read: `put` says that it is new or
            changed, also if it is no picture.
    """
    rows = _rows(clients, applies=applies)
    align = _align(clients, rows) if applies and rows is not None else _would_be_put
    known = dict(found)

    def bring(key: str) -> Alignment:
        row = None if rows is None else rows.read(id_of_key(key.removeprefix(PREFIX)))
        if row is None or row.object != known[key] or row.event is not None:
            return align(key)
        return "unchanged" if row.shown else "no picture"

    yield from each_key(bring, known)


def _rows(clients: Clients, *, applies: bool) -> PictureRows | None:
    """The rows; None if there are none yet, and a dry run must not make them."""
    if applies:
        return picture_rows(clients)
    table = picture_stores(clients).rows
    salt = known_salt(clients.dynamodb, table)
    return None if salt is None else PictureRows(clients.dynamodb, table, salt)


def _align(clients: Clients, rows: PictureRows) -> Callable[[str], Alignment]:
    pictures = bucket_pictures(clients, PictureSettings(zone=UTC))
    aligner = key_aligner(clients, pictures, rows)
    return aligner.align


def _would_be_put(_key: str) -> Alignment:
    return "put"
