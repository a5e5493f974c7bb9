"""The client of Table Store, and what its errors mean.

The official SDK retries by itself, makes a text of each request for a log that nobody reads, and
tries four times to connect. This client does none of it. Codes:
https://www.alibabacloud.com/help/en/tablestore/error-codes-and-error-messages
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import urllib3
from tablestore import NoRetryPolicy, OTSClient, OTSClientError, OTSServiceError
from urllib3.exceptions import HTTPError, ReadTimeoutError

from doors.timeouts import sending_timed_out
from functions.write_to_tablestore.settings import Credentials, ReplicaSettings
from shared.sink import (
    MisconfiguredError,
    RequestFailedError,
    RequestRefusedError,
    RequestTimedOutError,
    SinkError,
)

CONNECT_SECONDS: Final = 1
READ_SECONDS: Final = 4
REQUEST_SECONDS: Final = CONNECT_SECONDS + READ_SECONDS

# With these codes, every request fails until somebody corrects the deployment.
MISCONFIGURED: Final = frozenset(
    {"OTSAuthFailed", "OTSNoPermissionAccess", "OTSObjectNotExist", "OTSInvalidPK"}
)
# With these codes, the same row is refused every time.
REFUSED: Final = frozenset(
    {
        "OTSParameterInvalid",
        "OTSRequestBodyTooLarge",
        "OTSOutOfColumnCountLimit",
        "OTSOutOfRowSizeLimit",
    }
)
# New instances refuse the internet
# (https://help.aliyun.com/en/tablestore/network-acl-of-tablestore-instance).
_ACL: Final = "instance ACL policies"
_ACL_HINT: Final = "allow access from the internet in the network settings of the instance"

_LOGGER: Final = "lockstep.tablestore_sdk"


def connect(settings: ReplicaSettings, credentials: Credentials, seconds: float) -> OTSClient:
    """A client that sends each request once.

    Args:
        settings: instance, endpoint and region.
        credentials: the AccessKey.
        seconds: the longest time of one request, with its connection.

    Raises:
        MisconfiguredError: the SDK refuses a setting.
    """
    # Below this level, the SDK makes a text of each request, with its content.
    logging.getLogger(_LOGGER).setLevel(logging.CRITICAL)
    try:
        client = OTSClient(
            settings.endpoint,
            credentials.key_id,
            credentials.secret,
            settings.instance,
            region=settings.region,
            auto_update_v4_sign=True,
            retry_policy=NoRetryPolicy(),
            socket_timeout=urllib3.Timeout(connect=CONNECT_SECONDS, read=seconds - CONNECT_SECONDS),
            logger_name=_LOGGER,
            enable_native=False,
        )
    except OTSClientError as error:
        raise MisconfiguredError(f"Table Store: {error}") from error
    # Otherwise, urllib3 tries to connect four times.
    client.connection.pool.connection_pool_kw["retries"] = False
    return client


@contextmanager
def sink_errors(table: str) -> Iterator[None]:
    """Replace the errors of the SDK and of its connection by those of a sink.

    Raises:
        RequestTimedOutError: no answer in time.
        RequestFailedError: it is unknown whether anything was written.
        RequestRefusedError: the whole request was refused.
        MisconfiguredError: no request can succeed until the deployment is corrected.
    """
    try:
        yield
    except OTSServiceError as error:
        raise meaning(table, error.code, error.message) from error
    except HTTPError as error:
        detail = f"table {table}: {type(error).__name__}: {error}"
        if isinstance(error, ReadTimeoutError) or sending_timed_out(error):
            raise RequestTimedOutError(detail) from error
        raise RequestFailedError(detail) from error
    except SinkError:
        raise
    except Exception as error:  # the SDK raises anything when an answer is broken
        raise RequestFailedError(f"table {table}: {type(error).__name__}: {error}") from error


def meaning(table: str, code: str, message: Any) -> SinkError:
    """What an error of the service means for a whole request."""
    detail = f"table {table}: {code}: {message}"
    if _ACL in str(message):
        return MisconfiguredError(f"{detail}: {_ACL_HINT}")
    if code in MISCONFIGURED:
        return MisconfiguredError(detail)
    if code in REFUSED:
        return RequestRefusedError(detail)
    return RequestFailedError(detail)
