"""An answer of OpenSearch without a body, cut off behind its head: no success to any of us."""

import pytest

from functions.write_to_es.connect import connect, sink_errors
from lockstep.stores.index import IndexReader
from lockstep.stores.readers import StoreUnreadableError
from shared.sink import RequestFailedError
from tests.contract.clients.server import Server

# The server hangs up after each answer: a client that is not told may ask again on that connection.
EMPTY = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 0\r\n"
    b"Connection: close\r\n\r\n"
)


def test_it_is_a_failed_request(server: Server) -> None:
    server.says = EMPTY
    client = connect(server.url, None, None)
    empty = pytest.raises(RequestFailedError, match="an empty answer to GET /images")
    with empty, sink_errors("images"):
        client.indices.get(index="images")


def test_whoever_reads_the_index_could_not_read_it(server: Server) -> None:
    server.says = EMPTY
    index = IndexReader(connect(server.url, None, None), "images")
    for read in (lambda: index.lookup(["T1"]), lambda: list(index.scan()), index.count):
        with pytest.raises(StoreUnreadableError, match="an empty answer"):
            read()


def test_to_a_question_about_existence_it_is_the_answer(server: Server) -> None:
    server.says = EMPTY
    assert connect(server.url, None, None).indices.exists(index="images") is True
