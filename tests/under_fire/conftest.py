"""The option for the number of events."""

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--records", type=int, default=50_000, help="number of events to put")
