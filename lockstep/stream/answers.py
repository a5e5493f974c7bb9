"""Errors of AWS clients, as errors of the stream readers."""

from collections.abc import Iterator
from contextlib import contextmanager

from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from lockstep.stream.stream import StreamUnavailableError


@contextmanager
def answering() -> Iterator[None]:
    """Raise errors of AWS clients as StreamUnavailableError.

    A response without a required member was truncated: if a server dies while it responds, botocore
    returns an empty response. It must not be mistaken for the end of a shard.
    """
    try:
        yield
    except (BotoCoreError, ClientError, ResponseParserError) as error:
        raise StreamUnavailableError(str(error)) from error
    except KeyError as error:
        raise StreamUnavailableError(f"the response was truncated: it has no {error}") from error
