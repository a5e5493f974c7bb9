"""Shard iterators and paging tokens: opaque to clients, valid after a restart.

A token contains its whole state, signed with the database's secret: the server stores nothing for
it, and rejects tokens that it did not issue.
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
    """A position to read from. `stream` and `shard` are internal keys."""

    stream: int
    shard: int
    position: int
    issued_at: int


class ShardPage(msgspec.Struct, frozen=True, tag=True, array_like=True):
    """The next page of ListShards: the filter's shards with numbers above `after`."""

    stream: int
    after: int
    filter: dict[str, Any] | None
    issued_at: int


class ConsumerPage(msgspec.Struct, frozen=True, tag=True, array_like=True):
    """The next page of ListStreamConsumers: the consumers with names above `after`."""

    stream: int
    after: str
    issued_at: int


class StreamPage(msgspec.Struct, frozen=True, tag=True, array_like=True):
    """The next page of ListStreams: the streams with names above `after`."""

    after: str
    issued_at: int


class InvalidTokenError(ValueError):
    """The token was not issued by this endpoint, or for another use."""


class ExpiredTokenError(ValueError):
    """The token is older than its lifetime."""


def seal(secret: bytes, content: ConsumerPage | ShardIterator | ShardPage | StreamPage) -> str:
    """Encode and sign a token's content."""
    packed = msgspec.msgpack.encode(content)
    return base64.b64encode(_signature(secret, packed) + packed).decode()


def unseal[T: (ConsumerPage, ShardIterator, ShardPage, StreamPage)](
    secret: bytes, token: str, kind: type[T], now: int
) -> T:
    """Verify a token and decode its content.

    Raises:
        InvalidTokenError: it was not issued with this secret for this use.
        ExpiredTokenError: it was issued too long ago.
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
