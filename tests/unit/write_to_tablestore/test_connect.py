"""The client: one attempt for each request, short timeouts, no text of its content."""

import logging
from typing import Any

import pytest
import urllib3
from tablestore import PutRowItem, Row

from functions.write_to_tablestore.connect import CONNECT_SECONDS, connect
from functions.write_to_tablestore.settings import Credentials, ReplicaSettings, settings_in
from shared.sink import MisconfiguredError

CREDENTIALS = Credentials("id", "secret")


def settings(**more: str) -> ReplicaSettings:
    least = {
        "OTS_INSTANCE": "inst",
        "OTS_ENDPOINT": "http://127.0.0.1:9",
        "TABLE_NAME": "t",
        "PRIMARY_KEY": "id",
    }
    return settings_in(least | more)


class NoRoute:
    """Stands for the connections of urllib3, and counts them."""

    def __init__(self) -> None:
        self.attempts = 0

    def __call__(self, *_: Any, **__: Any) -> Any:
        self.attempts += 1
        raise OSError("no route to host")


def test_a_request_tries_to_connect_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the SDK's NoRetryPolicy alone, urllib3 tries four times."""
    route = NoRoute()
    monkeypatch.setattr(urllib3.util.connection, "create_connection", route)
    client = connect(settings(), CREDENTIALS, 5)
    with pytest.raises(urllib3.exceptions.HTTPError):
        client.describe_table("t")
    assert route.attempts == 1


def test_the_timeouts_of_a_request_add_up_to_what_is_asked() -> None:
    client = connect(settings(), CREDENTIALS, 5)
    timeout = client.connection.pool.connection_pool_kw["timeout"]
    assert (timeout.connect_timeout, timeout.read_timeout) == (CONNECT_SECONDS, 4)


def test_the_sdk_makes_no_text_of_requests() -> None:
    client = connect(settings(), CREDENTIALS, 5)
    assert client.logger.level > logging.DEBUG
    assert not client.logger.isEnabledFor(logging.ERROR)


def test_a_region_selects_version_4_of_the_signature() -> None:
    by_version = {"": "SignV2", "eu-central-1": "SignV4"}
    for region, signer in by_version.items():
        client = connect(settings(OTS_REGION=region), CREDENTIALS, 5)
        assert type(client._signer).__name__ == signer  # noqa: SLF001


def test_what_the_sdk_refuses_is_one_line() -> None:
    with pytest.raises(MisconfiguredError, match="Table Store: access_key_id"):
        connect(settings(), Credentials("", "secret"), 5)


def test_an_item_of_the_sdk_without_condition_would_be_unguarded() -> None:
    """Why the sink always sets one: the SDK says nothing, and sends IGNORE."""
    assert PutRowItem(Row([("id", "a")], []), None).condition is None
