"""The index's client, and what its exceptions mean in the words of a sink."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from opensearchpy import OpenSearch, Urllib3AWSV4SignerAuth, Urllib3HttpConnection
from opensearchpy.exceptions import (
    ConnectionError as OpenSearchConnectionError,
)
from opensearchpy.exceptions import SerializationError, TransportError
from urllib3 import Timeout

from shared.sink import MisconfiguredError, RequestFailedError, RequestRefusedError

if TYPE_CHECKING:
    from botocore.credentials import Credentials

# An invocation has time for two of these; a bulk of a cold index may take seconds. `deliver` does
# the retrying.
CONNECT_SECONDS, READ_SECONDS = 1, 10
REQUEST_SECONDS = CONNECT_SECONDS + READ_SECONDS

# OpenSearch repeats whole values in its reasons; a detail must fit a log line.
LONGEST_DETAIL = 600

# AWS's own hosts take signed requests only.
_AWS_HOSTS = (".amazonaws.com", ".amazonaws.com.cn", ".on.aws")
_SERVICE = "es"


def connect(endpoint: str, region: str | None, credentials: "Credentials | None") -> OpenSearch:
    """A client that tries once and gives up after `REQUEST_SECONDS`.

    Args:
        endpoint: URL; a bare host, as CloudFormation names a domain's endpoint, means https.
        region: of a domain of AWS.
        credentials: to sign with, where the host is AWS's; botocore keeps them fresh.

    Raises:
        MisconfiguredError: the host is AWS's, and there is nothing to sign with.
    """
    url = endpoint if "://" in endpoint else f"https://{endpoint}"
    signer = None
    if (urlsplit(url).hostname or "").endswith(_AWS_HOSTS):
        if credentials is None or region is None:
            raise MisconfiguredError(
                f"{url} takes signed requests only: set AWS credentials and a region"
            )
        signer = Urllib3AWSV4SignerAuth(credentials, region, _SERVICE)
    return OpenSearch(
        [url],
        connection_class=_WholeAnswers,
        http_auth=signer,
        timeout=Timeout(connect=CONNECT_SECONDS, read=READ_SECONDS),
        max_retries=0,
        retry_on_status=(),
    )


class _WholeAnswers(Urllib3HttpConnection):
    """Takes no answer without a body for a success: OpenSearch gives none but to HEAD.

    What was cut off behind its head looks just so, and opensearch-py passes it on as a text.
    """

    def perform_request(self, method: str, url: str, *args: Any, **kwargs: Any) -> Any:
        """Send a request and read the whole answer.

        Raises:
            TransportError: there is none, it is empty, or it is an error.
        """
        status, headers, body = super().perform_request(method, url, *args, **kwargs)
        if not body and method != "HEAD":
            raise OpenSearchConnectionError("N/A", f"an empty answer to {method} {url}", None)
        return status, headers, body


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
