"""Signatures of requests and answers, and requests that no SDK sends."""

import time
from typing import Any

import pytest
from tablestore import OTSClientError

from lockstep.local.tablestore.messages import tables as pb
from lockstep.local.tablestore.server import reply
from lockstep.local.tablestore.signatures import content_md5
from tests.unit.tablestore.client import Direct, TableStore, refusal, sdk, signed


@pytest.mark.parametrize("region", [None, "cn-hangzhou"], ids=["version 2", "version 4"])
def test_the_sdk_accepts_answers_of_both_versions(
    tablestore: TableStore, region: str | None
) -> None:
    client = sdk(tablestore.endpoint, region=region)
    assert client.list_table() == ("rows",)
    # It checks the signature of this refusal, too.
    assert refusal(client.describe_table, "none")[:2] == (404, "OTSObjectNotExist")


@pytest.mark.parametrize("region", [None, "cn-hangzhou"], ids=["version 2", "version 4"])
def test_the_sdk_refuses_answers_that_are_signed_wrongly(
    tablestore: TableStore, region: str | None
) -> None:
    class Changing(Direct):
        def send_receive(self, *given: Any) -> tuple[int, str, dict[str, str], bytes]:
            status, reason, headers, body = super().send_receive(*given)
            return status, reason, headers | {"x-ots-requestid": "another"}, body

    client = sdk(tablestore.endpoint, region=region)
    client.connection = Changing(tablestore.endpoint)
    with pytest.raises(OTSClientError, match="Invalid signature in response"):
        client.list_table()


class Sent(Direct):
    """Keeps what the SDK sends, and sends it changed."""

    def __init__(self, tablestore: TableStore, **changes: str | None) -> None:
        super().__init__(tablestore.endpoint)
        self.changes = {name.replace("_", "-"): value for name, value in changes.items()}

    def send_receive(self, url: str, headers: Any, body: bytes) -> Any:
        changed = {name.lower(): value for name, value in headers.items()} | self.changes
        kept = {name: value for name, value in changed.items() if value is not None}
        return super().send_receive(url, kept, body)


def changed(tablestore: TableStore, **changes: str | None) -> tuple[int, str, str]:
    client = sdk(tablestore.endpoint, region=changes.pop("region", None))
    client.connection = Sent(tablestore, **changes)
    return refusal(client.list_table)


DENIED = (403, "OTSAuthFailed")
WRONG = (400, "OTSParameterInvalid")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"x_ots_signature": "blahblah"}, (*DENIED, "Signature mismatch.")),
        ({"x_ots_accesskeyid": "nobody"}, (*DENIED, "The AccessKeyID does not exist.")),
        ({"x_ots_instancename": "none"}, (*DENIED, "The instance is not found.")),
        (
            {"x_ots_contentmd5": "blahblah"},
            (
                *DENIED,
                "Mismatch between MD5 value of request body and x-ots-contentmd5 in header.",
            ),
        ),
        ({"x_ots_date": "blahblah"}, (*WRONG, "Invalid date format: blahblah.")),
        (
            {"x_ots_date": "2014-06-07T14:25:40.000Z"},
            (*DENIED, "Mismatch between system time and x-ots-date: 2014-06-07T14:25:40.000Z."),
        ),
        ({"x_ots_signature": None}, (*WRONG, "Missing header: 'x-ots-signature'.")),
        ({"x_ots_contentmd5": None}, (*WRONG, "Missing header: 'x-ots-contentmd5'.")),
        ({"x_ots_apiversion": "2014-08-08"}, (*DENIED, "Signature mismatch.")),
        (
            {"x_ots_request_compress_type": "deflate"},
            (
                400,
                "OTSUnsupportOperation",
                "the Table Store of this machine does not support compressed requests.",
            ),
        ),
    ],
    ids=str,
)
def test_a_request_that_is_signed_wrongly_is_refused(
    tablestore: TableStore, changes: dict[str, str | None], expected: tuple[int, str, str]
) -> None:
    assert changed(tablestore, **changes) == expected


def test_version_4_signs_the_region(tablestore: TableStore) -> None:
    found = changed(tablestore, region="cn-hangzhou", x_ots_signregion="cn-beijing")
    assert found == (*DENIED, "Signature mismatch.")


def sent(tablestore: TableStore, operation: str, body: bytes) -> tuple[str, str]:
    """Code and message of what the endpoint answers to a body, signed as it must be."""
    path = f"/{operation}"
    headers = signed(tablestore.endpoint, path, body)
    error = pb.Error.FromString(reply(tablestore.endpoint, path, headers, body).body)
    return error.code, error.message


def test_a_body_that_is_no_message_is_refused(tablestore: TableStore) -> None:
    assert sent(tablestore, "PutRow", b"\xff\xff") == (
        "OTSParameterInvalid",
        "Parse PBMessage from RawString failed.",
    )


def test_a_name_that_is_not_utf_8_is_refused(tablestore: TableStore) -> None:
    assert sent(tablestore, "DescribeTable", b"\x0a\x01\xff") == (
        "OTSParameterInvalid",
        "Parse PBMessage from RawString failed.",
    )


def test_a_field_that_the_endpoint_does_not_know_is_refused(tablestore: TableStore) -> None:
    """Field 3 of BatchWriteRow is `is_atomic`: all rows or none."""
    assert sent(tablestore, "BatchWriteRow", b"\x18\x01") == (
        "OTSUnsupportOperation",
        "the Table Store of this machine does not support field 3 of BatchWriteRow.",
    )


def test_an_unknown_operation_is_refused(tablestore: TableStore) -> None:
    assert sent(tablestore, "HelloWorld", b"") == (
        "OTSUnsupportOperation",
        "Unsupported operation: 'HelloWorld'.",
    )


def test_an_answer_has_what_the_sdk_checks(tablestore: TableStore) -> None:
    tablestore.client.list_table()
    answer = tablestore.client.connection.last
    assert answer.headers["x-ots-contentmd5"] == content_md5(answer.body)
    assert answer.headers["x-ots-date"].startswith(time.strftime("%Y-%m-%d", time.gmtime()))
    assert answer.headers["x-ots-contenttype"]
    assert len(answer.headers["x-ots-requestid"]) == 36
