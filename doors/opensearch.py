"""The client of the index. It signs requests if a setting says so, and does not retry."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, override
from urllib.parse import urlsplit

import msgspec
from opensearchpy import OpenSearch, Transport, Urllib3HttpConnection
from opensearchpy.exceptions import ConnectionError as OpenSearchConnectionError
from opensearchpy.serializer import JSONSerializer
from urllib3 import Timeout

from shared.sink import MisconfiguredError

if TYPE_CHECKING:
    from botocore.credentials import Credentials

# A collection of OpenSearch Serverless has no aliases, no versions of documents and no `GET /`.
_SERVERLESS = ".aoss.amazonaws.com"
_SERVICE = "es"
_encode, _decode = msgspec.json.Encoder().encode, msgspec.json.Decoder().decode


def signing_credentials(
    find: "Callable[[], Credentials | None]", region: str | None, signing: str
) -> "Credentials | None":
    """The credentials that sign requests to the index; None if requests are not signed.

    The name of a host does not tell: a domain may have an endpoint of any name.

    Args:
        find: finds the credentials, as a session of boto3 or botocore does.
        region: the AWS region of the domain.
        signing: `yes` or `no`, the parameter OpenSearchSigning of template.yaml.

    Raises:
        MisconfiguredError: another value; or there are no credentials or no region.
    """
    if signing not in ("yes", "no"):
        raise MisconfiguredError(f"OPENSEARCH_SIGNING is {signing!r}: set it to yes or no")
    if signing == "no":
        return None
    credentials = find()
    if credentials is None or region is None:
        raise MisconfiguredError(
            "requests to the index must be signed: set AWS credentials and a region"
        )
    return credentials


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
        region: the AWS region of the domain, for the signatures.
        credentials: sign the requests; botocore refreshes them. None: the requests are not signed.
        timeout: the timeout of a request.
        transport: what the client sends its requests through.

    Raises:
        MisconfiguredError: there are credentials, but no region; or the endpoint is a collection
            of OpenSearch Serverless.
    """
    url = endpoint if "://" in endpoint else f"https://{endpoint}"
    host = urlsplit(url).hostname or ""
    signer = None
    if host.endswith(_SERVERLESS):
        raise MisconfiguredError(
            f"{url} is a collection of OpenSearch Serverless, which Lockstep cannot use: use a "
            "domain of OpenSearch Service"
        )
    if credentials is not None:
        if region is None:
            raise MisconfiguredError(f"requests to {url} must be signed: set an AWS region")
        from doors.signing import IndexSigner  # noqa: PLC0415 - imports botocore

        signer = IndexSigner(credentials, region, _SERVICE)
    return OpenSearch(
        [url],
        transport_class=transport,
        connection_class=_WholeAnswers,
        http_auth=signer,
        serializer=_Json(),
        timeout=timeout,
        max_retries=0,
        retry_on_status=(),
    )


class _Json(JSONSerializer):
    """JSON by msgspec, which takes a tenth of what Python's json takes.

    What msgspec refuses, such as half of a surrogate pair, is left to opensearch-py, which also
    raises the errors. Our requests have neither times nor decimals, which both write differently.
    """

    @override
    def dumps(self, data: Any) -> Any:
        if isinstance(data, str | bytes):
            return data
        try:
            return _encode(data).decode()
        except (TypeError, ValueError, OverflowError):
            return super().dumps(data)

    @override
    def loads(self, s: str) -> Any:
        try:
            return _decode(s)
        except (msgspec.MsgspecError, UnicodeEncodeError):
            return super().loads(s)


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
