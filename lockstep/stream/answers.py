"""Errors of AWS clients, as errors of the stream readers."""

from collections.abc import Iterator
from contextlib import contextmanager

from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from lockstep.stream.stream import StreamDeniedError, StreamUnavailableError

# https://docs.aws.amazon.com/kinesis/latest/APIReference/API_GetRecords.html
_REFUSED = frozenset(
    {
        "AccessDeniedException",
        "IncompleteSignatureException",
        "InvalidSignatureException",
        "KMSAccessDeniedException",
        "KMSDisabledException",
        "KMSInvalidStateException",
        "KMSNotFoundException",
        "KMSOptInRequired",
        "MissingAuthenticationTokenException",
        "UnrecognizedClientException",
    }
)


@contextmanager
def answering() -> Iterator[None]:
    """Raise errors of AWS clients as StreamUnavailableError, or as StreamDeniedError.

    A response without a required member was truncated: if a server dies while it responds, botocore
    returns an empty response. It must not be mistaken for the end of a shard.
    """
    try:
        yield
    except ClientError as error:
        refused = error.response["Error"]["Code"] in _REFUSED
        raise (StreamDeniedError if refused else StreamUnavailableError)(str(error)) from error
    except (BotoCoreError, ResponseParserError, UnicodeDecodeError) as error:
        raise StreamUnavailableError(str(error)) from error
    except KeyError as error:
        raise StreamUnavailableError(f"the response was truncated: it has no {error}") from error
