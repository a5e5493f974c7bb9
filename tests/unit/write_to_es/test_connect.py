"""The index's client: signed where it must be, impatient everywhere."""

from typing import Any

import pytest
from botocore.credentials import Credentials
from opensearchpy import Urllib3AWSV4SignerAuth

from functions.write_to_es.connect import CONNECT_SECONDS, READ_SECONDS, connect
from shared.sink import MisconfiguredError

SOMEBODY = Credentials("access", "secret", "token")
DOMAIN = "search-images-abc.us-east-1.es.amazonaws.com"


def connection(endpoint: str, credentials: Credentials | None = SOMEBODY) -> Any:
    return connect(endpoint, "us-east-1", credentials).transport.get_connection()


@pytest.mark.parametrize(
    "endpoint", [DOMAIN, f"https://{DOMAIN}", "https://images.us-east-1.on.aws"]
)
def test_requests_to_a_domain_of_aws_are_signed(endpoint: str) -> None:
    made = connection(endpoint)
    assert made.host.startswith("https://")
    assert isinstance(made.http_auth, Urllib3AWSV4SignerAuth)
    headers = made.http_auth("POST", f"{made.host}/images/_bulk", b"{}\n")
    assert "/us-east-1/es/aws4_request" in headers["Authorization"]
    assert headers["X-Amz-Security-Token"] == "token"


@pytest.mark.parametrize(
    "endpoint", ["http://127.0.0.1:9200", "https://amazonaws.com.example:9200"]
)
def test_nothing_is_signed_for_other_hosts(endpoint: str) -> None:
    made = connection(endpoint)
    assert made.http_auth is None
    assert made.host == endpoint


def test_a_domain_of_aws_without_credentials_is_a_misconfiguration() -> None:
    with pytest.raises(MisconfiguredError, match=f"{DOMAIN} accepts only signed requests"):
        connection(DOMAIN, None)


def test_a_collection_of_opensearch_serverless_is_a_misconfiguration() -> None:
    with pytest.raises(MisconfiguredError, match="use a domain of OpenSearch Service"):
        connection("https://abc.us-east-1.aoss.amazonaws.com")


def test_a_request_is_tried_once_and_not_for_long() -> None:
    client = connect("http://127.0.0.1:9200", None, None)
    made: Any = client.transport.get_connection()
    assert client.transport.max_retries == 0
    assert (made.timeout.connect_timeout, made.timeout.read_timeout) == (
        CONNECT_SECONDS,
        READ_SECONDS,
    )
