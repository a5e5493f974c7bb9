"""What every test may use, and three rules: no sockets where none belong, no skips on demand, and
no test fails for being slow.
"""

import gc
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings
from pytest_socket import disable_socket, enable_socket

from lockstep.local.engines.pins import EngineName
from tools.engines import engines_for_tests

if TYPE_CHECKING:
    from tests.real_images import RealImages

# Failed assertions in what several test modules share are explained like those of any test.
pytest.register_assert_rewrite("tests.contract.sinks.suite", "tests.package.samples")

# Hypothesis would fail an example that takes 200 ms, which on a busy machine any may.
settings.register_profile("lockstep", deadline=None)
settings.load_profile("lockstep")

WITHOUT_SOCKETS = [
    Path(__file__).parent / name for name in ("unit", "simulation", "model", "under_fire")
]
SKIPPED = pytest.StashKey[dict[str, str]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--rows", type=int, default=200, help="items of the table that a replica follows"
    )
    parser.addoption(
        "--no-skips", action="store_true", help="a skipped test fails the run and is named"
    )
    parser.addoption(
        "--cut-every",
        type=int,
        default=101,
        help="cut exchanges with the engines at every so manieth byte; 1 is every byte",
    )
    parser.addoption(
        "--kills", type=int, default=10, help="how many processes of a local stack to kill"
    )
    parser.addoption(
        "--accept", action="store_true", help="write into the guide what its commands print now"
    )
    parser.addoption(
        "--images", type=int, help="how many images the audit is proved with; a few if not said"
    )
    parser.addoption(
        "--queries", type=int, default=100, help="how many texts by chance to search for"
    )
    parser.addoption(
        "--index-shards", type=int, default=1, help="how many shards the searched index has"
    )
    parser.addoption("--kills-seed", type=int, default=1, help="chooses which processes, and when")
    parser.addoption(
        "--rebuilds", type=int, default=1, help="how many rebuilds of the index to kill, twice each"
    )
    parser.addoption(
        "--pictures", type=int, default=200, help="how many pictures a local stack gets, twice"
    )
    parser.addoption(
        "--events-a-second", type=float, default=50.0, help="how many arrive during a rebuild"
    )


def pytest_configure(config: pytest.Config) -> None:
    # A shell has its background jobs ignore Ctrl-C, and so would all that tests start.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # The settings of the person who runs the tests are not for them.
    for name in ("LOCKSTEP_STACK", "LOCKSTEP_STATE", "LOCKSTEP_REGION"):
        os.environ.pop(name, None)
    os.environ["XDG_CONFIG_HOME"] = os.devnull
    # Tests have many objects that stay. Looking through them often takes a tenth of the time.
    gc.set_threshold(20_000, 10, 10)
    config.stash[SKIPPED] = {}
    config.pluginmanager.register(_Skips(config), "lockstep-skips")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    # First of all, so that a test's own fixtures obey, too.
    if any(item.path.is_relative_to(folder) for folder in WITHOUT_SOCKETS):
        # Unix sockets stay: an asyncio loop wakes itself through one.
        disable_socket(allow_unix_socket=True)
    else:
        enable_socket()


class _Skips:
    """Under --no-skips a run with a skipped test is a failed one: a group that silently did not
    run proves nothing.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._forbidden = bool(config.getoption("--no-skips"))
        self._skipped: dict[str, str] = config.stash[SKIPPED]

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        # An expected failure is reported as skipped, too, and is none.
        if report.skipped and not hasattr(report, "wasxfail"):
            self._skipped[report.nodeid] = _reason(report)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.skipped:
            self._skipped[report.nodeid] = _reason(report)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if self._forbidden and self._skipped and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self._forbidden:
            for name, reason in self._skipped.items():
                terminalreporter.write_line(f"--no-skips: {name} was skipped: {reason}", red=True)


def _reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    where = report.longrepr
    return where[2] if isinstance(where, tuple) else str(where)


@pytest.fixture(scope="session")
def engine() -> Iterator[Callable[[EngineName], str]]:
    """Endpoint of an engine, started when first asked for."""
    with engines_for_tests() as endpoint:
        yield endpoint


@pytest.fixture(scope="session")
def opensearch_endpoint(engine: Callable[[EngineName], str]) -> str:
    return engine("opensearch")


@pytest.fixture(scope="session")
def dynamodb_endpoint(engine: Callable[[EngineName], str]) -> str:
    return engine("dynamodb")


@pytest.fixture(scope="session")
def s3_endpoint(engine: Callable[[EngineName], str]) -> str:
    return engine("s3")


@pytest.fixture(scope="session")
def index_shards(pytestconfig: pytest.Config) -> int:
    shards: int = pytestconfig.getoption("--index-shards")
    return shards


@pytest.fixture(scope="session")
def real_images(opensearch_endpoint: str, index_shards: int) -> "Iterator[RealImages]":
    """An index of the 2,000 real images, to be copied."""
    from tests.real_images import indexed  # noqa: PLC0415 - most tests need none of what it imports

    with indexed(opensearch_endpoint, index_shards) as made:
        yield made
