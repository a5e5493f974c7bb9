"""The supervisor: one on a state folder, watching, stopping in order, leaving nobody behind."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
import psutil
import pytest
from click.testing import CliRunner

from lockstep.cli import main
from lockstep.local.processes import answers
from lockstep.local.state_folder import running
from lockstep.local.up import Ended, down
from lockstep.machine.processes import ProcessIdentity
from lockstep.stack.stack import StackNotFoundError, read_local
from lockstep.web.addresses import HOST

SCRIPT = Path(__file__).with_name("stand_in_stack.py")
PATIENCE_SECONDS = 30.0


def eventually[T](look: Callable[[], T | None]) -> T:
    """What `look` finds as soon as it finds something."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (found := look()):
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.02)
    return found


@dataclass
class Supervised:
    """An `up` that runs in a process of its own."""

    process: subprocess.Popen[str]
    state: Path

    def wait_until_ready(self) -> None:
        eventually(lambda: self.process.poll() is not None or self.says_ready())
        assert self.process.poll() is None, self.finish()

    def says_ready(self) -> bool:
        found = running(self.state)
        return found is not None and found.ready and found.supervisor.pid == self.process.pid

    def children(self) -> list[ProcessIdentity]:
        return msgspec.json.decode(
            (self.state / "children.json").read_bytes(), type=list[ProcessIdentity]
        )

    def finish(self) -> tuple[int, str]:
        """Its exit code and everything it wrote."""
        written, _ = self.process.communicate(timeout=PATIENCE_SECONDS)
        return self.process.returncode, written


type Start = Callable[..., Supervised]


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def start_up(state: Path) -> Iterator[Start]:
    with ExitStack() as stack:

        def start(*told: str) -> Supervised:
            process = subprocess.Popen(  # our own script
                command(state, *told),
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
            stack.enter_context(process)
            stack.callback(process.kill)
            return Supervised(process, state)

        yield start


def command(state: Path, *told: str) -> Sequence[str]:
    return [sys.executable, str(SCRIPT), str(state), *told]


def gone(traces: Sequence[ProcessIdentity]) -> bool:
    return all(one.process() is None for one in traces)


def addresses(state: Path) -> list[tuple[str, int]]:
    at = read_local(state).endpoints
    urls = [urlsplit(url) for url in (at.kinesis, at.dynamodb, at.opensearch, at.s3) if url]
    return [(url.hostname or "", url.port or 0) for url in urls]


def test_up_publishes_a_stack_that_answers_and_down_ends_it(state: Path, start_up: Start) -> None:
    supervised = start_up()
    supervised.wait_until_ready()
    children = supervised.children()
    assert [answers(*address, "/") for address in addresses(state)] == [True] * 4
    assert len(children) == 5

    assert down(state) is Ended.STOPPED
    code, written = supervised.finish()
    assert code == 0
    assert "starting opensearch, dynamodb, s3, kinesis\n" in written
    assert max(len(line.rstrip()) for line in written.splitlines()) <= 80
    assert gone(children)
    with pytest.raises(StackNotFoundError):
        read_local(state)


@pytest.mark.parametrize(
    ("told", "host"),
    [
        ((), HOST),
        pytest.param(
            ("on-another-address",),
            "127.0.0.2",
            marks=pytest.mark.xfail(
                sys.platform != "linux", reason="only Linux has all of 127.0.0.0/8"
            ),
        ),
    ],
)
def test_endpoints_name_the_address_that_is_listened_on(
    state: Path, start_up: Start, told: Sequence[str], host: str
) -> None:
    start_up(*told).wait_until_ready()
    assert [found for found, _ in addresses(state)] == [host] * 4


@pytest.mark.parametrize(
    ("host", "why"),
    [
        ("localhost", "it is not an IPv4 address"),
        ("::1", "it is not an IPv4 address"),
        ("0.0.0.0", "it is not one address"),  # noqa: S104  # refused
        # Kept for documentation: of no machine. And one that can be bound, but not reached.
        ("203.0.113.1", ""),
        ("127.255.255.255", ""),
    ],
)
def test_an_address_that_cannot_be_listened_on_is_one_clear_line_before_anything_starts(
    state: Path, host: str, why: str
) -> None:
    ended = CliRunner().invoke(main, ["up", "--listen", host, "--state", str(state)])
    assert ended.exit_code == 2
    assert ended.output.count("\n") == 1
    assert ended.output.startswith(f"Error: cannot listen on {host}: {why}")
    assert "; use an address of this machine: " in ended.output
    assert not state.exists()


def test_down_where_nothing_runs_says_so(tmp_path: Path) -> None:
    assert down(tmp_path / "nowhere") is Ended.NOTHING_RAN


def test_a_second_up_on_the_same_state_names_the_first(start_up: Start) -> None:
    first = start_up()
    first.wait_until_ready()
    code, written = start_up().finish()
    assert code == 1
    assert f"already runs on {first.state} (pid {first.process.pid})" in written
    assert first.process.poll() is None


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_everything(start_up: Start, number: signal.Signals) -> None:
    supervised = start_up()
    supervised.wait_until_ready()
    children = supervised.children()
    supervised.process.send_signal(number)
    assert supervised.finish()[0] == 0
    assert gone(children)


def test_a_second_signal_kills_a_child_that_ignores_sigterm(start_up: Start) -> None:
    supervised = start_up("deaf-consumer")
    supervised.wait_until_ready()
    children = supervised.children()
    eventually((supervised.state / "consumer" / "deaf").exists)
    supervised.process.send_signal(signal.SIGINT)
    assert supervised.process.stdout is not None
    assert "stopping\n" in iter(supervised.process.stdout.readline, "")
    asked = time.monotonic()
    supervised.process.send_signal(signal.SIGINT)
    assert supervised.finish()[0] == 0
    # A deaf child alone is given 15 seconds.
    assert time.monotonic() - asked < 10
    assert gone(children)


def test_a_signal_while_it_starts_stops_what_was_started(start_up: Start) -> None:
    supervised = start_up("slow-prepare")
    eventually((supervised.state / "preparing").exists)
    children = supervised.children()
    assert len(children) == 4
    assert down(supervised.state) is Ended.STOPPED
    code, written = supervised.finish()
    assert code != 0, "it was never ready"
    assert written.endswith("stopping\ninterrupted\n")
    assert gone(children)


@pytest.mark.xfail(sys.platform != "linux", reason="only Linux ties a child to its parent")
def test_when_the_supervisor_is_killed_no_child_is_left(start_up: Start) -> None:
    supervised = start_up("deaf-consumer")
    supervised.wait_until_ready()
    children = supervised.children()
    supervised.process.kill()
    eventually(lambda: gone(children))
    assert running(supervised.state) is None


def test_a_killed_stack_starts_again(state: Path, start_up: Start) -> None:
    first = start_up()
    first.wait_until_ready()
    left_over = first.children()
    first.process.kill()
    second = start_up()
    second.wait_until_ready()
    assert gone(left_over)
    assert [answers(*address, "/") for address in addresses(state)] == [True] * 4


def test_a_child_that_dies_is_started_again_on_its_port(state: Path, start_up: Start) -> None:
    supervised = start_up()
    supervised.wait_until_ready()
    before = supervised.children()
    os.kill(before[0].pid, signal.SIGKILL)
    eventually(lambda: supervised.children() != before)
    eventually(lambda: all(answers(*address, "/") for address in addresses(state)))
    down(state)
    code, written = supervised.finish()
    log = state / "logs" / "opensearch.log"
    assert f"opensearch died (killed by signal 9), restarting it; see its log: {log}" in written
    assert code == 0


def test_a_child_that_keeps_dying_stops_everything_and_is_named(start_up: Start) -> None:
    supervised = start_up("broken-consumer")
    code, written = supervised.finish()
    log = supervised.state / "logs" / "consumer.log"
    assert code == 1
    assert written.count("consumer died (exit code 1), restarting it") == 4
    assert "Error: consumer died 5 times within a minute (exit code 1)" in written
    assert written.endswith(f"see its log: {log}\n")
    assert log.read_text().count("no such thing") == 5


def test_fresh_removes_the_state_and_without_it_state_stays(state: Path, start_up: Start) -> None:
    for told, stays in (((), True), (("fresh",), False)):
        state.mkdir(exist_ok=True)
        (state / "lockstep-state").touch()
        (state / "dynamodb").mkdir(exist_ok=True)
        (state / "dynamodb" / "data").touch()
        supervised = start_up(*told)
        supervised.wait_until_ready()
        assert (state / "dynamodb" / "data").exists() is stays
        down(state)
        supervised.finish()


def test_a_folder_that_is_not_a_state_folder_is_never_changed(
    tmp_path: Path, start_up: Start
) -> None:
    precious = tmp_path / "state" / "thesis.txt"
    precious.parent.mkdir()
    precious.write_text("years of work")
    code, written = start_up("fresh").finish()
    assert code == 1
    assert "is not empty and not a state folder of Lockstep" in written
    assert [file.name for file in precious.parent.iterdir()] == ["thesis.txt"]


def test_asking_for_the_supervisor_of_a_new_folder_writes_nothing(
    state: Path, start_up: Start
) -> None:
    state.mkdir()
    assert running(state) is None
    assert down(state) is Ended.NOTHING_RAN
    assert list(state.iterdir()) == []
    start_up().wait_until_ready()


def test_detached_it_returns_when_ready_and_runs_on(state: Path) -> None:
    ended = subprocess.run(  # our own script
        command(state, "detach"), check=False, capture_output=True, text=True
    )
    try:
        found = running(state)
        assert ended.returncode == 0, ended.stderr
        assert found is not None
        assert found.ready
        assert f"pid {found.supervisor.pid}" in ended.stdout
        assert [answers(*address, "/") for address in addresses(state)] == [True] * 4
    finally:
        assert down(state) is Ended.STOPPED


def test_a_server_that_does_not_start_stops_everything_and_is_named(start_up: Start) -> None:
    supervised = start_up("broken-server")
    log = supervised.state / "logs" / "kinesis.log"
    code, written = supervised.finish()
    assert code == 1
    said = f"Error: kinesis did not start (exit code 1): no such thing; see its log: {log}\n"
    assert written.endswith(said)
    assert "no such thing" in log.read_text()
    assert running(supervised.state) is None
    # The cause is told at once: no server that can take long to stop was asked to.
    assert (supervised.state / "opensearch" / "polite").exists()
    assert not (supervised.state / "opensearch" / "asked").exists()


def test_a_server_that_dies_while_the_resources_are_created_is_named_although_a_request_hangs(
    start_up: Start,
) -> None:
    supervised = start_up("slow-prepare")
    eventually((supervised.state / "preparing").exists)
    children = supervised.children()
    os.kill(children[1].pid, signal.SIGKILL)
    code, written = supervised.finish()
    assert code == 1
    assert "Error: dynamodb did not start (killed by signal 9); see its log: " in written
    assert gone(children)


def test_a_disk_that_fills_while_a_stack_starts_is_named(start_up: Start) -> None:
    supervised = start_up("slow-prepare")
    eventually((supervised.state / "preparing").exists)
    (supervised.state / "full").touch()
    code, written = supervised.finish()
    assert code == 1
    assert f"Error: the disk of {supervised.state} is full: 0.0 MB are free" in written


def test_on_a_full_disk_nothing_is_started(state: Path, start_up: Start) -> None:
    state.mkdir()
    (state / "lockstep-state").touch()
    (state / "full").touch()
    code, written = start_up().finish()
    assert code == 1
    assert written == (
        f"Error: the disk of {state} is full: 0.0 MB are free, and a stack needs 16 MB to start; "
        "free some space, or use another folder with --state\n"
    )
    assert not (state / "logs").exists()


def test_detached_it_tells_why_it_did_not_start(state: Path) -> None:
    ended = subprocess.run(  # our own script
        command(state, "detach", "broken-server"), check=False, capture_output=True, text=True
    )
    log = state / "logs" / "kinesis.log"
    assert ended.returncode == 1
    assert ended.stderr == (
        f"Error: kinesis did not start (exit code 1): no such thing; see its log: {log}\n"
    )
    assert running(state) is None


def test_a_state_folder_that_cannot_be_created_is_an_error_of_one_line(
    tmp_path: Path, start_up: Start
) -> None:
    (tmp_path / "state").write_text("a file")
    code, written = start_up().finish()
    assert code == 1
    assert "Traceback" not in written
    assert "use another folder with --state" in written


def test_the_supervisor_stays_small(start_up: Start) -> None:
    supervised = start_up()
    supervised.wait_until_ready()
    assert psutil.Process(supervised.process.pid).memory_info().rss < 100 * 2**20
