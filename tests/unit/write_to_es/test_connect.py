"""The index's client: signed if the setting says so, impatient everywhere."""

from typing import Any

import pytest
from botocore.credentials import Credentials

from doors.opensearch import signing_credentials
from doors.signing import IndexSigner
from functions.write_to_es.connect import CONNECT_SECONDS, READ_SECONDS, connect
from shared.sink import MisconfiguredError

SOMEBODY = Credentials("access", "secret", "token")
DOMAIN = "search-images-abc.us-east-1.es.amazonaws.com"


class Session:
    """What a session of boto3 knows."""

    def __init__(
        self, credentials: Credentials | None = SOMEBODY, region: str | None = "us-east-1"
    ) -> None:
        self.region_name = region
        self.get_credentials = lambda: credentials


def connection(endpoint: str, signing: str, session: Any = None) -> Any:
    session = session or Session()
    credentials = signing_credentials(session.get_credentials, session.region_name, signing)
    return connect(endpoint, session.region_name, credentials).transport.get_connection()


@pytest.mark.parametrize(
    "endpoint",
    [
        DOMAIN,
        f"https://{DOMAIN}",
        # From a VPC, of a VPC endpoint, and a custom endpoint:
        # https://docs.aws.amazon.com/opensearch-service/latest/developerguide/customendpoint.html
        "https://vpc-images-abc.us-east-1.es.amazonaws.com",
        "https://images.us-east-1.on.aws",
        "https://search.example.com",
    ],
)
def test_requests_to_an_endpoint_of_any_name_are_signed(endpoint: str) -> None:
    made = connection(endpoint, "yes")
    assert made.host.startswith("https://")
    assert isinstance(made.http_auth, IndexSigner)
    headers = made.http_auth("POST", f"{made.host}/images/_bulk", b"{}\n")
    assert "/us-east-1/es/aws4_request" in headers["Authorization"]
    assert headers["X-Amz-Security-Token"] == "token"


@pytest.mark.parametrize("endpoint", ["http://127.0.0.1:9200", f"https://{DOMAIN}"])
def test_nothing_is_signed_if_the_setting_says_so(endpoint: str) -> None:
    made = connection(endpoint, "no")
    assert made.http_auth is None
    assert made.host.startswith(endpoint)


@pytest.mark.parametrize("session", [Session(credentials=None), Session(region=None)])
def test_signatures_need_credentials_and_a_region(session: Session) -> None:
    with pytest.raises(MisconfiguredError, match="set AWS credentials and a region"):
        connection(DOMAIN, "yes", session)
    with pytest.raises(MisconfiguredError, match=f"{DOMAIN} must be signed: set an AWS region"):
        connect(DOMAIN, None, SOMEBODY)


@pytest.mark.parametrize("signing", ["", "true", "No"])
def test_another_setting_is_a_misconfiguration(signing: str) -> None:
    with pytest.raises(MisconfiguredError, match="set it to yes or no"):
        connection(DOMAIN, signing)


def test_a_collection_of_opensearch_serverless_is_a_misconfiguration() -> None:
    with pytest.raises(MisconfiguredError, match="use a domain of OpenSearch Service"):
        connection("https://abc.us-east-1.aoss.amazonaws.com", "yes")


def test_a_request_is_tried_once_and_not_for_long() -> None:
    client = connect("http://127.0.0.1:9200", None, None)
    made: Any = client.transport.get_connection()
    assert client.transport.max_retries == 0
    assert (made.timeout.connect_timeout, made.timeout.read_timeout) == (
        CONNECT_SECONDS,
        READ_SECONDS,
    )
