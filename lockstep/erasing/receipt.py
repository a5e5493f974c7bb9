"""The receipt of an erasure: what was erased, without the ids, which may be personal themselves.

Each id is hashed with a salt of the receipt. Who has the receipt and guesses an id can see whether
it was erased: so a receipt is confidential.
"""

import datetime as dt
import hashlib
import hmac
import secrets
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from lockstep.console.errors import UserError
from lockstep.erasing.erased import Limit
from lockstep.erasing.outcomes import ErasedImage, EraseResult, Remains

_SALT_BYTES = 32


class ErasedId(msgspec.Struct, frozen=True):
    """One erased image.

    Attributes:
        hash: HMAC-SHA256 of its id in UTF-8, with the salt as the key, in hex.
        result: what became of it; `not_applied` if the command was interrupted.
        version: the version of its tombstone; null if there is none.
        arrived_at: the arrival of its deletion, in milliseconds since 1970; of an image without a
            tombstone, when it was erased.
    """

    hash: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
    result: EraseResult
    version: int | None
    arrived_at: int


class Receipt(msgspec.Struct, frozen=True):
    """A receipt, as its file has it.

    Attributes:
        format: the version of this form.
        stack: the name of the stack; null for a local one.
        table: the name of its table.
        region: its region.
        erased_at: when the command ended.
        salt: the salt of the hashes, in hex.
        images: the erased images.
        remains: what only time removes.
    """

    format: Literal[1]
    stack: str | None
    table: str
    region: str
    erased_at: dt.datetime
    salt: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
    images: Sequence[ErasedId]
    remains: Sequence[Remains]


class ReceiptError(UserError):
    """A file is no receipt, or one of another stack."""


def new_salt() -> str:
    """A salt for one receipt."""
    return secrets.token_hex(_SALT_BYTES)


def hash_of(image_id: str, salt: str) -> str:
    """The hash of an id in a receipt."""
    message = image_id.encode(errors="surrogatepass")
    return hmac.new(bytes.fromhex(salt), message, hashlib.sha256).hexdigest()


def erased_ids(images: Iterable[ErasedImage], salt: str, at: dt.datetime) -> Sequence[ErasedId]:
    """The images of a receipt; those of which there was nothing are left out.

    Args:
        images: what became of them.
        salt: the salt of the receipt.
        at: the time of an image that has no tombstone.
    """
    return [
        ErasedId(
            hash_of(one.image_id, salt),
            one.result,
            one.version,
            round((at if one.arrived_at is None else one.arrived_at).timestamp() * 1000),
        )
        for one in images
        if one.result != "absent"
    ]


def read_receipt(file: Path, table: str) -> Receipt:
    """The receipt in a file.

    Args:
        file: the file.
        table: the name of the table of the stack that it must be of.

    Raises:
        ReceiptError: it is no receipt, or one of another stack.
        OSError: the file cannot be read.
    """
    try:
        receipt = msgspec.json.decode(file.read_bytes(), type=Receipt)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ReceiptError(f"{file} is no receipt of `lockstep erase`: {error}") from None
    if receipt.table != table:
        raise ReceiptError(
            f"{file} is of table {receipt.table}, but this stack has table {table}: choose the "
            "stack of the receipt"
        )
    return receipt


class ReceiptedIds:
    """Knows the erased images by the receipts."""

    def __init__(self, receipts: Iterable[Receipt]) -> None:
        self._by_salt = [
            (
                one.salt,
                {each.hash: Limit(each.version or 0, each.arrived_at) for each in one.images},
            )
            for one in receipts
        ]
        self.limit_of = cache(self._limit_of)

    @property
    def count(self) -> int:
        """The number of erased images."""
        return sum(len(hashes) for _, hashes in self._by_salt)

    def _limit_of(self, image_id: str) -> Limit | None:
        """Up to where this image is erased; None if no receipt has it."""
        found = [
            limit
            for salt, hashes in self._by_salt
            if (limit := hashes.get(hash_of(image_id, salt))) is not None
        ]
        return max(found, key=lambda one: (one.version, one.arrived_at), default=None)
