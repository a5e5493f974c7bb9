"""How many events go through the fire."""

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--records", type=int, default=50_000, help="events put under fire")
