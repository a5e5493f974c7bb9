"""The index's client, and what its exceptions mean in the words of a sink."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from opensearchpy import OpenSearch
from opensearchpy.exceptions import SerializationError, TransportError
from urllib3 import Timeout

from doors import opensearch
from shared.sink import MisconfiguredError, RequestFailedError, RequestRefusedError

if TYPE_CHECKING:
    from botocore.credentials import Credentials

# An invocation has time for two of these; a bulk of a cold index may take seconds. `deliver` does
# the retrying.
CONNECT_SECONDS, READ_SECONDS = 1, 10
REQUEST_SECONDS = CONNECT_SECONDS + READ_SECONDS

# OpenSearch repeats whole values in its reasons; a detail must fit a log line.
LONGEST_DETAIL = 600


def connect(endpoint: str, region: str | None, credentials: "Credentials | None") -> OpenSearch:
    """A client that tries once and gives up after `REQUEST_SECONDS`; see `doors.opensearch`.

    Raises:
        MisconfiguredError: the host is AWS's, and there is nothing to sign with.
    """
    timeout = Timeout(connect=CONNECT_SECONDS, read=READ_SECONDS)
    return opensearch.client(endpoint, region, credentials, timeout=timeout)


@contextmanager
def in_sink_words(alias: str) -> Iterator[None]:
    """Whatever the client raises inside, as a `SinkError` that names the alias and the cause.

    Raises:
        RequestFailedError: connection loss, timeout, 429, 5xx, no JSON, any status we do not know.
        RequestRefusedError: 400, 413.
        MisconfiguredError: 401, 403, 404.
    """
    try:
        yield
    except TransportError as error:
        detail = shortened(f"index {alias}: {error}")
        match error.status_code:
            case 400 | 413:
                raise RequestRefusedError(detail) from error
            case 401 | 403 | 404:
                raise MisconfiguredError(detail) from error
            case _:
                raise RequestFailedError(detail) from error
    except SerializationError as error:
        detail = shortened(f"index {alias}: the answer is not JSON, or cut off: {error}")
        raise RequestFailedError(detail) from error


def shortened(text: str) -> str:
    """The text, cut to what fits a log line."""
    return text if len(text) <= LONGEST_DETAIL else f"{text[:LONGEST_DETAIL]}…"
