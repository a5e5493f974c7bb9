"""The client of the index. It signs requests to AWS, and does not retry."""

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from opensearchpy import OpenSearch, Transport, Urllib3AWSV4SignerAuth, Urllib3HttpConnection
from opensearchpy.exceptions import ConnectionError as OpenSearchConnectionError
from urllib3 import Timeout

from shared.sink import MisconfiguredError

if TYPE_CHECKING:
    from botocore.credentials import Credentials

# A collection of OpenSearch Serverless has no aliases, no versions of documents and no `GET /`.
_SERVERLESS = ".aoss.amazonaws.com"
# Hosts of AWS accept only signed requests.
_AWS_HOSTS = (".amazonaws.com", ".amazonaws.com.cn", ".on.aws")
_SERVICE = "es"


def client(
    endpoint: str,
    region: str | None,
    credentials: "Credentials | None",
    *,
    timeout: Timeout,
    transport: type[Transport] = Transport,
) -> OpenSearch:
    """A client that does not retry.

    Args:
        endpoint: a URL, or a host name as in the outputs of CloudFormation, which means https.
        region: the AWS region of the domain, if it is on AWS.
        credentials: sign the requests to a domain on AWS; botocore refreshes them.
        timeout: the timeout of a request.
        transport: what the client sends its requests through.

    Raises:
        MisconfiguredError: the host is on AWS, but credentials or region are missing; or it is a
            collection of OpenSearch Serverless.
    """
    url = endpoint if "://" in endpoint else f"https://{endpoint}"
    host = urlsplit(url).hostname or ""
    signer = None
    if host.endswith(_SERVERLESS):
        raise MisconfiguredError(
            f"{url} is a collection of OpenSearch Serverless, which Lockstep cannot use: use a "
            "domain of OpenSearch Service"
        )
    if host.endswith(_AWS_HOSTS):
        if credentials is None or region is None:
            raise MisconfiguredError(
                f"{url} accepts only signed requests: set AWS credentials and a region"
            )
        signer = Urllib3AWSV4SignerAuth(credentials, region, _SERVICE)
    return OpenSearch(
        [url],
        transport_class=transport,
        connection_class=_WholeAnswers,
        http_auth=signer,
        timeout=timeout,
        max_retries=0,
        retry_on_status=(),
    )


class _WholeAnswers(Urllib3HttpConnection):
    """Treats an answer without a body as an error, except to HEAD.

    OpenSearch always sends a body. An answer that is truncated after its headers has none, and
    opensearch-py would return "" for it.
    """

    def perform_request(self, method: str, url: str, *args: Any, **kwargs: Any) -> Any:
        """Send a request and read the whole answer.

        Raises:
            TransportError: no answer, an empty answer, or an error.
        """
        status, headers, body = super().perform_request(method, url, *args, **kwargs)
        if not body and method != "HEAD":
            raise OpenSearchConnectionError("N/A", f"an empty answer to {method} {url}", None)
        return status, headers, body
