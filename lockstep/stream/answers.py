"""Errors of AWS clients, as the readers of a stream report them."""

from collections.abc import Iterator
from contextlib import contextmanager

from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from lockstep.stream.stream import StreamUnavailableError


@contextmanager
def answering() -> Iterator[None]:
    """What keeps the stream from answering in full, as a StreamUnavailableError.

    An answer that lacks what it always has was cut off: botocore makes an empty one of a server
    that died while it answered. It must not pass for the end of a shard.
    """
    try:
        yield
    except (BotoCoreError, ClientError, ResponseParserError) as error:
        raise StreamUnavailableError(str(error)) from error
    except KeyError as error:
        raise StreamUnavailableError(f"the answer was cut off: it has no {error}") from error
