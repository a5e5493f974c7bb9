"""Requests are signed by the client's secret, and answers are, too: SDKs check them.

Version 2 signs requests by HMAC-SHA1 with the secret. Version 4, which SDKs use if a region is
given, signs them by HMAC-SHA256 with a key that is made from the secret, a date, the region and the
product. Answers are signed by HMAC-SHA1 with the key of the request. What is signed: the path, the
method and all headers that begin with x-ots-.

Sources: "Use HTTP to access Table Store" in the API reference, and the official SDKs.
"""

import base64
import datetime as dt
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass

from lockstep.local.tablestore.errors import denied, invalid, unsupported

_PREFIX = "x-ots-"
_SIGNATURE = "x-ots-signature"
_SIGNATURE_V4 = "x-ots-signaturev4"
_SIGNATURES = frozenset({_SIGNATURE, _SIGNATURE_V4})
_NEEDED = (
    "x-ots-date",
    "x-ots-apiversion",
    "x-ots-accesskeyid",
    "x-ots-contentmd5",
    "x-ots-instancename",
)
_CLOCKS_APART = dt.timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class Account:
    """Who may use the endpoint: a key with its secret, and the name of the instance."""

    key_id: str = "local"
    secret: str = "local"  # noqa: S105 - what everybody uses on one machine
    instance: str = "local"


@dataclass(frozen=True, slots=True)
class Signer:
    """Signs the answer to one request."""

    key_id: str
    key: bytes
    path: str

    def authorization(self, headers: Mapping[str, str]) -> str:
        """The header Authorization of an answer with these headers, which are in lower case."""
        signed = f"{_canonical(headers)}\n{self.path}"
        return f"OTS {self.key_id}:{_signature(self.key, signed, 'sha1')}"


def content_md5(body: bytes | bytearray) -> str:
    """The header x-ots-contentmd5 of a body."""
    return base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()


def signer_for(account: Account, path: str, headers: Mapping[str, str]) -> Signer | None:
    """Who signs the answer to a request; None if its key is unknown, so nobody can.

    Args:
        account: the account of the endpoint.
        path: the path of the request.
        headers: the headers of the request, with names in lower case.
    """
    if headers.get("x-ots-accesskeyid") != account.key_id:
        return None
    key = account.secret.encode()
    if _SIGNATURE_V4 in headers:
        key = _v4_key(
            account.secret,
            headers.get("x-ots-signdate", ""),
            headers.get("x-ots-signregion", ""),
        )
    return Signer(account.key_id, key, path)


def check_signed(
    account: Account, path: str, headers: Mapping[str, str], body: bytes | bytearray, now: int
) -> None:
    """Check that a request is for this instance, and signed by its account.

    Args:
        account: the account of the endpoint.
        path: the path of the request.
        headers: the headers of the request, with names in lower case.
        body: the body of the request.
        now: milliseconds since 1970.

    Raises:
        TableStoreError: OTSParameterInvalid if a header is missing or is no date, OTSAuthFailed if
            the request is not what the account signed, OTSUnsupportOperation if it is compressed.
    """
    for name in _NEEDED:
        if name not in headers:
            raise invalid(f"Missing header: '{name}'.")
    if _SIGNATURES.isdisjoint(headers):
        raise invalid(f"Missing header: '{_SIGNATURE}'.")
    if "x-ots-request-compress-type" in headers:
        raise unsupported("compressed requests")
    if headers["x-ots-contentmd5"] != content_md5(body):
        raise denied("Mismatch between MD5 value of request body and x-ots-contentmd5 in header.")
    _check_date(headers["x-ots-date"], now)
    signer = signer_for(account, path, headers)
    if signer is None:
        raise denied("The AccessKeyID does not exist.")
    if headers["x-ots-instancename"] != account.instance:
        raise denied("The instance is not found.")
    signed = f"{path}\nPOST\n\n{_canonical(headers)}\n"
    if _SIGNATURE_V4 in headers:
        given, expected = headers[_SIGNATURE_V4], _signature(signer.key, signed + "ots", "sha256")
    else:
        given, expected = headers[_SIGNATURE], _signature(signer.key, signed, "sha1")
    if not hmac.compare_digest(given.encode(), expected.encode()):
        raise denied("Signature mismatch.")


def _check_date(text: str, now: int) -> None:
    try:
        given = dt.datetime.fromisoformat(text)
    except ValueError:
        raise invalid(f"Invalid date format: {text}.") from None
    given = given.replace(tzinfo=given.tzinfo or dt.UTC)
    if abs(given - dt.datetime.fromtimestamp(now / 1000, dt.UTC)) > _CLOCKS_APART:
        raise denied(f"Mismatch between system time and x-ots-date: {text}.")


def _v4_key(secret: str, date: str, region: str) -> bytes:
    key = f"aliyun_v4{secret}".encode()
    for part in (date, region, "ots", "aliyun_v4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return base64.b64encode(key)


def _canonical(headers: Mapping[str, str]) -> str:
    return "\n".join(
        sorted(
            f"{name}:{value.strip()}"
            for name, value in headers.items()
            if name.startswith(_PREFIX) and name not in _SIGNATURES
        )
    )


def _signature(key: bytes, text: str, method: str) -> str:
    return base64.b64encode(hmac.digest(key, text.encode(), method)).decode()
