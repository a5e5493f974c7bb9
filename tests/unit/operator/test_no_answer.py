"""A store that does not answer: what a command says, and what it says to run next."""

from pathlib import Path

import pytest
from pytest_socket import enable_socket

from functions.write_to_es.connect import sink_errors
from lockstep.commands.chosen_stack import no_answer_hint
from lockstep.console.failures import is_no_answer, message_of
from lockstep.stack.clients import Clients
from lockstep.stack.stack import read_local
from lockstep.stack.use_cases.store_health import store_health
from lockstep.stores.index import IndexReader
from lockstep.stores.readers import StoreUnreadableError
from lockstep.stores.table import TableReader
from shared.sink import SinkError
from tests.unit.operator.command import assert_one_line, lockstep


@pytest.fixture(autouse=True)
def _nobody_listens() -> None:
    """Nobody listens where the stack of these tests says it is."""
    enable_socket()


def test_a_search_says_that_opensearch_does_not_answer(state: Path) -> None:
    assert_one_line(
        lockstep("search", "thames", "--state", state),
        "OpenSearch does not answer at 127.0.0.1:9: connection refused; "
        f"`lockstep status --state {state}` shows which stores answer; "
        f"if the stack has ended, `lockstep up --state {state}` starts it again",
    )


def test_a_status_that_gets_no_answer_does_not_name_itself(state: Path) -> None:
    again = f"if the stack has ended, `lockstep up --state {state}` starts it again"
    assert no_answer_hint("status", None, state) == again
    assert no_answer_hint("status", "museum", state) == ""
    shows = "`lockstep status --stack museum` shows which stores answer"
    assert no_answer_hint("audit", "museum", state) == shows


def test_who_reads_the_index_is_told_the_address_and_the_cause(state: Path) -> None:
    index = IndexReader(Clients(read_local(state)).opensearch, "images")
    for read in (lambda: index.lookup(["T1"]), lambda: list(index.scan()), index.count):
        with pytest.raises(StoreUnreadableError) as raised:
            read()
        assert str(raised.value) == (
            "index images: OpenSearch does not answer at 127.0.0.1:9: connection refused"
        )


def test_who_reads_the_table_is_told_the_address_and_the_cause(state: Path) -> None:
    table = TableReader(Clients(read_local(state)).dynamodb, "images")
    with pytest.raises(StoreUnreadableError) as raised:
        table.lookup(["T1"])
    said = "table images: http://127.0.0.1:9/ does not answer: connection refused"
    assert (str(raised.value), is_no_answer(raised.value)) == (said, True)


def test_an_error_of_a_sink_says_which_server_does_not_answer(state: Path) -> None:
    client = Clients(read_local(state)).opensearch
    with pytest.raises(SinkError) as raised, sink_errors("images"):
        client.indices.get(index="images")
    said = "OpenSearch does not answer at 127.0.0.1:9: connection refused"
    assert (message_of(raised.value), is_no_answer(raised.value)) == (said, True)


def test_an_endpoint_that_does_not_answer_is_named(state: Path) -> None:
    assert_one_line(
        lockstep("quarantine", "list", "--state", state),
        "http://127.0.0.1:9/",
        "does not answer: connection refused",
        f"`lockstep status --state {state}`",
    )


def test_stores_that_refuse_a_connection_do_not_answer(state: Path) -> None:
    health = store_health(Clients(read_local(state)))
    assert {name: (one.answers, one.why) for name, one in health.items()} == {
        "table": (False, "connection refused"),
        "index": (False, "connection refused"),
    }
