"""Links are signed as AWS documents it, and as botocore signs them."""

import datetime as dt
from urllib.parse import parse_qs, quote, urlsplit

import pytest
from botocore.auth import S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from functions.search_images.presigned import SigningKeys, presigned
from tests.unit.pictures.test_ids import KEYS

ACCESS, SECRET = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
DAY = dt.datetime(2013, 5, 24, tzinfo=dt.UTC)
ADDRESSES = ("https://bucket.s3.eu-central-1.amazonaws.com", "http://127.0.0.1:8080/bucket")


def test_the_signature_is_that_of_the_example_of_aws() -> None:
    link = presigned(
        "https://examplebucket.s3.amazonaws.com",
        "test.txt",
        SigningKeys(ACCESS, SECRET),
        region="us-east-1",
        at=DAY,
        seconds=86400,
    )
    found = parse_qs(urlsplit(link).query)
    assert found["X-Amz-Signature"] == [
        "aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"
    ]


@given(
    st.sampled_from(ADDRESSES),
    KEYS.filter(lambda key: key and not {"\ud800"} & set(key)),
    st.sampled_from([None, "a/token+of=temporary credentials"]),
    st.dictionaries(st.sampled_from(["response-content-disposition", "x-id"]), st.text("a; =+%")),
    st.sampled_from(["GET", "HEAD"]),
)
def test_a_link_is_signed_as_botocore_signs_it(
    address: str, key: str, token: str | None, query: dict[str, str], method: str
) -> None:
    key = key.encode(errors="replace").decode()
    request = AWSRequest(method, f"{address}/{quote(key, safe='/~')}", params=query)
    signer = S3SigV4QueryAuth(Credentials(ACCESS, SECRET, token), "s3", "eu-central-1", 900)
    signer.add_auth(request)
    expected = urlsplit(str(request.url))
    asked = parse_qs(expected.query, keep_blank_values=True)
    (moment,) = asked["X-Amz-Date"]
    link = presigned(
        address,
        key,
        SigningKeys(ACCESS, SECRET, token),
        region="eu-central-1",
        at=dt.datetime.strptime(moment, "%Y%m%dT%H%M%SZ").replace(tzinfo=dt.UTC),
        seconds=900,
        method="HEAD" if method == "HEAD" else "GET",
        query=query,
    )
    found = urlsplit(link)
    assert found[:3] == expected[:3]
    assert parse_qs(found.query, keep_blank_values=True) == asked


@pytest.mark.parametrize(("of", "safe"), [("a:b", "a%3Ab"), ("a b", "a%20b"), ("é/~", "%C3%A9/~")])
def test_a_key_is_encoded_as_s3_wants_it(of: str, safe: str) -> None:
    link = presigned(ADDRESSES[0], of, SigningKeys(ACCESS, SECRET), region="x", at=DAY, seconds=900)
    assert link.startswith(f"{ADDRESSES[0]}/{safe}?X-Amz-Algorithm=AWS4-HMAC-SHA256&")
