"""The client of the index, and the translation of its exceptions to `SinkError`."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from opensearchpy import OpenSearch, Transport
from opensearchpy.exceptions import ConnectionTimeout, SerializationError, TransportError
from urllib3 import Timeout

from doors import opensearch
from doors.timeouts import sending_timed_out
from shared.sink import (
    MisconfiguredError,
    RequestFailedError,
    RequestRefusedError,
    RequestTimedOutError,
    RequestTooLargeError,
)

if TYPE_CHECKING:
    from botocore.credentials import Credentials

# A `_bulk` to a cold index may take seconds. An invocation has time for two. `deliver` retries.
CONNECT_SECONDS, READ_SECONDS = 1, 10
REQUEST_SECONDS = CONNECT_SECONDS + READ_SECONDS


def connect(
    endpoint: str,
    region: str | None,
    credentials: "Credentials | None",
    *,
    transport: type[Transport] = Transport,
) -> OpenSearch:
    """A client that does not retry and times out after `REQUEST_SECONDS`; see `doors.opensearch`.

    Raises:
        MisconfiguredError: see `doors.opensearch.client`.
    """
    timeout = Timeout(connect=CONNECT_SECONDS, read=READ_SECONDS, total=REQUEST_SECONDS)
    return opensearch.client(endpoint, region, credentials, timeout=timeout, transport=transport)


class AccessDeniedError(MisconfiguredError):
    """OpenSearch does not know the caller, or the caller may not do this (401, 403)."""


@contextmanager
def sink_errors(alias: str) -> Iterator[None]:
    """Translate the client's exceptions to a `SinkError` that names the alias and the cause.

    Raises:
        RequestTimedOutError: no answer in time, or a proxy says so (408, 504).
        RequestFailedError: connection loss, 429, 5xx, invalid JSON or an unknown status.
        RequestRefusedError: 400.
        RequestTooLargeError: 413.
        AccessDeniedError: 401, 403.
        MisconfiguredError: 404.
    """
    try:
        yield
    except TransportError as error:
        detail = f"index {alias}: {error}"
        match error.status_code:
            case 400:
                raise RequestRefusedError(detail) from error
            case 413:
                raise RequestTooLargeError(detail) from error
            case 401 | 403:
                raise AccessDeniedError(detail) from error
            case 404:
                raise MisconfiguredError(detail) from error
            case 408 | 504:
                raise RequestTimedOutError(detail) from error
            case _ if isinstance(error, ConnectionTimeout) or sending_timed_out(error.info):
                raise RequestTimedOutError(detail) from error
            case _:
                raise RequestFailedError(detail) from error
    except SerializationError as error:
        detail = f"index {alias}: the answer is not JSON, or truncated: {error}"
        raise RequestFailedError(detail) from error
