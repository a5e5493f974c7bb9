"""Tokens: shard iterators and paging tokens, opaque to clients and good after a restart.

A token carries all it means, sealed with the database's own secret: the server keeps nothing for
it, and what it did not issue itself it does not believe.
"""

import base64
import binascii
import hashlib
import hmac
from typing import Any

import msgspec

# https://docs.aws.amazon.com/kinesis/latest/APIReference/API_GetShardIterator.html, API_ListShards
LIFETIME_MS = 300_000

_SEAL_BYTES = 16


class ShardIterator(msgspec.Struct, frozen=True, tag=True, array_like=True):
    """A place to read from. `stream` and `shard` are the store's own keys."""

    stream: int
    shard: int
    position: int
    issued_at: int


class ShardPage(msgspec.Struct, frozen=True, tag=True, array_like=True):
    """The rest of a ListShards answer: the shards of that filter with numbers above `after`."""

    stream: int
    after: int
    filter: dict[str, Any] | None
    issued_at: int


class StreamPage(msgspec.Struct, frozen=True, tag=True, array_like=True):
    """The rest of a ListStreams answer: the streams named above `after`."""

    after: str
    issued_at: int


class InvalidTokenError(ValueError):
    """The token was not issued here, or not for this use."""


class ExpiredTokenError(ValueError):
    """The token is older than its lifetime."""


def seal(secret: bytes, content: ShardIterator | ShardPage | StreamPage) -> str:
    """Text that only `unseal` with the same secret can read back."""
    packed = msgspec.msgpack.encode(content)
    return base64.b64encode(_signature(secret, packed) + packed).decode()


def unseal[T: (ShardIterator, ShardPage, StreamPage)](
    secret: bytes, token: str, kind: type[T], now: int
) -> T:
    """What was sealed.

    Raises:
        InvalidTokenError: not issued with this secret for this use.
        ExpiredTokenError: issued too long ago.
    """
    try:
        content = base64.b64decode(token, validate=True)
        signature, packed = content[:_SEAL_BYTES], content[_SEAL_BYTES:]
        if not hmac.compare_digest(signature, _signature(secret, packed)):
            raise InvalidTokenError("the token was not issued here")
        found = msgspec.msgpack.decode(packed, type=kind)
    except (binascii.Error, ValueError, msgspec.DecodeError):
        raise InvalidTokenError("the token was not issued here for this use") from None
    if now - found.issued_at > LIFETIME_MS:
        raise ExpiredTokenError(
            f"issued at {found.issued_at}, now it is {now} (milliseconds since 1970): "
            f"more than {LIFETIME_MS} milliseconds"
        )
    return found


def _signature(secret: bytes, packed: bytes) -> bytes:
    return hashlib.blake2b(packed, key=secret, digest_size=_SEAL_BYTES).digest()
