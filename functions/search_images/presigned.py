"""Presigned links to objects in S3, signed at a time that the caller chooses.

botocore signs at the time of its own clock only. Links that are signed at the same time are the
same text, so a browser finds what they lead to in its cache.

Signature version 4 in the query of a link:
https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html
"""

import datetime as dt
import hashlib
import hmac
from collections.abc import Mapping
from typing import Literal
from urllib.parse import quote, urlsplit

import msgspec

_ALGORITHM = "AWS4-HMAC-SHA256"


class SigningKeys(msgspec.Struct, frozen=True):
    """Credentials of AWS. `token` is that of temporary ones."""

    access_key: str
    secret_key: str
    token: str | None = None


def presigned(
    bucket_url: str,
    key: str,
    keys: SigningKeys,
    *,
    region: str,
    at: dt.datetime,
    seconds: int,
    method: Literal["GET", "HEAD"] = "GET",
    query: Mapping[str, str] = {},
) -> str:
    """A link to an object.

    Args:
        bucket_url: the address of its bucket, without a slash at the end.
        key: its key.
        keys: of who may read it. The link stops working when they do.
        region: of the bucket.
        at: the time of the signature, in UTC.
        seconds: how long the link works from then on, at most seven days.
        method: what the link is for. A link for GET is none for HEAD.
        query: what the answer is to have, such as `response-content-disposition`.
    """
    url = f"{bucket_url}/{quote(key, safe='/~')}"
    parts = urlsplit(url)
    moment = f"{at:%Y%m%dT%H%M%SZ}"
    day = moment[:8]
    scope = f"{day}/{region}/s3/aws4_request"
    signed = {
        **query,
        "X-Amz-Algorithm": _ALGORITHM,
        "X-Amz-Credential": f"{keys.access_key}/{scope}",
        "X-Amz-Date": moment,
        "X-Amz-Expires": str(seconds),
        "X-Amz-SignedHeaders": "host",
        **({} if keys.token is None else {"X-Amz-Security-Token": keys.token}),
    }
    asked = "&".join(f"{_encoded(name)}={_encoded(signed[name])}" for name in sorted(signed))
    request = "\n".join(
        (method, parts.path, asked, f"host:{parts.netloc}", "", "host", "UNSIGNED-PAYLOAD")
    )
    digest = hashlib.sha256(request.encode()).hexdigest()
    secret = f"AWS4{keys.secret_key}".encode()
    for part in (day, region, "s3", "aws4_request"):
        secret = hmac.digest(secret, part.encode(), "sha256")
    text = f"{_ALGORITHM}\n{moment}\n{scope}\n{digest}"
    signature = hmac.digest(secret, text.encode(), "sha256").hex()
    return f"{url}?{asked}&X-Amz-Signature={signature}"


def _encoded(text: str) -> str:
    return quote(text, safe="~")
