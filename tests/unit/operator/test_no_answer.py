"""A store that does not answer: what a command says, and what it says to run next."""

from pathlib import Path

import pytest
from pytest_socket import enable_socket

from lockstep.stack.clients import Clients
from lockstep.stack.stack import read_local
from lockstep.stack.use_cases.store_health import store_health
from tests.unit.operator.command import assert_one_line, lockstep


@pytest.fixture(autouse=True)
def _nobody_listens() -> None:
    """Nobody listens where the stack of these tests says it is."""
    enable_socket()


def test_a_search_says_that_opensearch_does_not_answer(state: Path) -> None:
    assert_one_line(
        lockstep("search", "thames", "--state", state),
        "OpenSearch does not answer at 127.0.0.1:9: connection refused; "
        f"`lockstep status --state {state}` shows which stores answer",
    )


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
