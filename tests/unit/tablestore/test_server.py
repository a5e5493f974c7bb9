"""The HTTP server: who may use it, what it refuses before it reads a message."""

from lockstep.local.tablestore.messages import tables as pb
from lockstep.local.tablestore.server import MOST_BODY_BYTES, application
from tests.unit.tablestore.client import TableStore, called, signed

LOCAL = [(b"host", b"localhost")]


def call(tablestore: TableStore, *headers: tuple[bytes, bytes], method: str = "POST") -> int:
    given = signed(tablestore.endpoint, "/ListTable", b"")
    all_headers = [*headers, *((name.encode(), one.encode()) for name, one in given.items())]
    return called(application(tablestore.endpoint), method, "/ListTable", all_headers)[0]


def test_a_web_page_of_the_internet_is_refused(tablestore: TableStore) -> None:
    assert call(tablestore, *LOCAL) == 200
    assert call(tablestore, (b"host", b"example.com")) == 421
    assert call(tablestore, *LOCAL, (b"origin", b"https://example.com")) == 403


def test_another_method_is_refused(tablestore: TableStore) -> None:
    assert call(tablestore, *LOCAL, method="GET") == 405


def test_a_large_body_is_refused_before_all_of_it_is_read(tablestore: TableStore) -> None:
    parts = [b"x" * (MOST_BODY_BYTES // 2)] * 4
    status, _, body = called(application(tablestore.endpoint), "POST", "/PutRow", LOCAL, parts)
    assert (status, pb.Error.FromString(body).code) == (413, "OTSRequestBodyTooLarge")


def test_it_says_that_it_runs(tablestore: TableStore) -> None:
    status, _, body = called(application(tablestore.endpoint), "GET", "/health", LOCAL)
    assert (status, body) == (200, b"ok\n")
