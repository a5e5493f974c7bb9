"""The check of the engine behind the index: it must be OpenSearch, and not too old."""

import re

import msgspec
from opensearchpy import Transport
from opensearchpy.exceptions import TransportError

from shared.sink import MisconfiguredError

# The first release that sorts by `_shard_doc`, by which audit, repair, rebuild and purge read on
# after a page (https://github.com/opensearch-project/OpenSearch/pull/18924).
OLDEST = (3, 3)
NEEDED = "Lockstep needs OpenSearch {}.{} or later".format(*OLDEST)

_OPENSEARCH = "opensearch"
_DENIED = (401, 403)
# In compatibility mode OpenSearch reports version 7.10.2 and no distribution, but its own tagline.
_TAGLINE = "The OpenSearch Project"


class UnsuitableEngineError(MisconfiguredError):
    """The engine is not OpenSearch, it is too old, or it does not tell its version."""


class VersionDeniedError(UnsuitableEngineError):
    """The engine does not tell its version to this caller (401, 403)."""


class _Version(msgspec.Struct, frozen=True):
    number: str
    distribution: str = ""


class _Root(msgspec.Struct, frozen=True):
    """What an engine answers to `GET /`."""

    version: _Version
    tagline: str = ""


def check_engine(transport: Transport) -> None:
    """Check the engine that a client talks to, with one request (`GET /`).

    Raises:
        VersionDeniedError: the caller may not read its version.
        UnsuitableEngineError: Lockstep cannot use it; says what to do.
        TransportError: it did not answer.
    """
    connection = transport.get_connection()
    try:
        _, _, body = connection.perform_request("GET", "/")
    except TransportError as error:
        if (flaw := _flaw_in_refusal(error.status_code)) is None:
            raise
        denied = error.status_code in _DENIED
        raised = VersionDeniedError if denied else UnsuitableEngineError
        raise raised(f"{connection.host}: {flaw}") from error
    if (flaw := flaw_in_engine(body)) is not None:
        raise UnsuitableEngineError(f"{connection.host}: {flaw}")


def flaw_in_engine(answer: str | bytes) -> str | None:
    """Say why Lockstep cannot use the engine that answered this to `GET /`; None if it can."""
    try:
        root = msgspec.json.decode(answer, type=_Root)
    except (msgspec.MsgspecError, UnicodeError):
        return f"the answer is not one of OpenSearch. {NEEDED}: correct the endpoint"
    number = root.version.number
    if root.version.distribution != _OPENSEARCH:
        if root.tagline.startswith(_TAGLINE):
            return (
                f"OpenSearch reports version {number}, because it is in compatibility mode. "
                f"{NEEDED}: set the cluster setting compatibility.override_main_response_version "
                "to false, then try again"
            )
        return f"version {number} of another engine. {NEEDED}: use a domain of OpenSearch"
    parts = re.match(r"(\d+)\.(\d+)", number)
    if parts is None or tuple(map(int, parts.groups())) < OLDEST:
        return f"OpenSearch {number} is too old. {NEEDED}: upgrade the domain, then try again"
    return None


def _flaw_in_refusal(status: int | str) -> str | None:
    """What this status of the answer to `GET /` says of the engine; None: nothing."""
    match status:
        case 401 | 403:
            return (
                f"the version of OpenSearch cannot be read ({status}). {NEEDED}: allow "
                "es:ESHttpGet on the path / of the domain"
            )
        case 404:
            return (
                "the endpoint does not tell its version (404), like a collection of OpenSearch "
                f"Serverless. {NEEDED}: use a domain of OpenSearch Service"
            )
        case _:
            return None
