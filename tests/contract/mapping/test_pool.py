"""A function in processes of its own: what it returns, and every way in which it can end."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from lockstep.local.mapping.invocation import Function
from lockstep.local.mapping.pool import Pool, StoppedError, lambda_environment
from lockstep.local.mapping.response import Errored, InvocationResult, Returned
from lockstep.local.processes import identities

type MakePool = Callable[..., Pool]


@pytest.fixture
def pool(tmp_path: Path) -> Iterator[MakePool]:
    made: list[Pool] = []

    def make(code: str, *, handler: str = "code.handle", timeout: int = 30) -> Pool:
        (tmp_path / "probed.py").write_text(code)
        function = Function(
            "probe", "probe", handler.replace("code", "probed"), "arn:role", timeout, 128, {}
        )
        environment = lambda_environment(function, region="us-east-1", root=tmp_path, endpoints={})
        one = Pool(function, "us-east-1", environment, root=tmp_path, log=tmp_path / "log")
        made.append(one)
        return one

    yield make
    for one in made:
        one.close(grace=0)


def invoked(pool: Pool, event: object = None) -> InvocationResult:
    return pool.invoke(msgspec.json.encode(event), "request-1")


def returned(pool: Pool, event: object = None) -> Any:
    answer = invoked(pool, event)
    assert isinstance(answer, Returned), answer
    return msgspec.json.decode(answer.payload)


ECHO = "def handle(event, context): return event"


def test_an_event_of_six_megabytes_goes_there_and_back(pool: MakePool) -> None:
    event = {"Records": ["x" * 6_000_000, "é", 1.5, None]}

    assert returned(pool(ECHO), event) == event


def test_nothing_is_returned_as_null(pool: MakePool) -> None:
    assert invoked(pool("def handle(event, context): pass")) == Returned(b"null")


@pytest.mark.parametrize(
    ("code", "handler", "error_type"),
    [
        ("import nothing_like_it", "code.handle", "Runtime.ImportModuleError"),
        ("def handle(", "code.handle", "Runtime.UserCodeSyntaxError"),
        ("", "code.handle", "Runtime.HandlerNotFound"),
        ("", "other_code.handle", "Runtime.ImportModuleError"),
        ("{}['x']", "code.handle", "Runtime.KeyError"),
        ("def handle(event, context): return {1, 2}", "code.handle", "MarshalError"),
        ("def handle(event, context): raise KeyError('x')", "code.handle", "KeyError"),
        ("def handle(event, context): raise SystemExit(3)", "code.handle", "Runtime.ExitError"),
        ("import os\nos._exit(3)", "code.handle", "Runtime.ExitError"),
    ],
)
def test_whatever_goes_wrong_is_the_functions_error(
    pool: MakePool, code: str, handler: str, error_type: str
) -> None:
    one = pool(code, handler=handler)

    for _ in range(2):  # a dead worker is replaced
        answer = invoked(one)
        assert isinstance(answer, Errored)
        assert answer.error_type == error_type


def test_an_errors_trace_is_in_the_log(pool: MakePool, tmp_path: Path) -> None:
    invoked(pool("def handle(event, context): raise ValueError('because')"))

    log = (tmp_path / "log").read_text()
    assert "[ERROR] ValueError: because request-1" in log
    assert 'probed.py", line 1, in handle' in log


def test_what_a_function_prints_is_no_answer(pool: MakePool, tmp_path: Path) -> None:
    code = """
import os, sys
def handle(event, context):
    print("to stdout")
    print("to stderr", file=sys.stderr)
    os.write(1, b"to the descriptor")
    context.log("to the context")
    return sys.stdin.read()
"""
    assert returned(pool(code)) == ""
    log = (tmp_path / "log").read_text()
    for place in ("stdout", "stderr", "the descriptor", "the context"):
        assert f"to {place}" in log


def test_time_is_up_for_the_function_and_what_it_started(pool: MakePool, tmp_path: Path) -> None:
    code = f"""
import pathlib, subprocess, time
def handle(event, context):
    child = subprocess.Popen(["sleep", "600"])
    pathlib.Path({str(tmp_path / "child")!r}).write_text(str(child.pid))
    time.sleep(600)
"""
    answer = invoked(pool(code, timeout=1))

    assert answer == Errored("Sandbox.Timedout", "Task timed out after 1.00 seconds")
    started = identities([int((tmp_path / "child").read_text())])
    deadline = time.monotonic() + 30
    while any(one.process() for one in started):  # killed it is; that takes a busy machine its time
        assert time.monotonic() < deadline
        time.sleep(0.01)


PID = "import os\ndef handle(event, context): return os.getpid()"


def test_a_worker_is_used_again_and_replaced_when_it_was_killed(pool: MakePool) -> None:
    one = pool(PID)
    first = returned(one)
    assert returned(one) == first

    os.kill(first, signal.SIGKILL)
    # Without taking its exit code, which is the pool's.
    os.waitid(os.P_PID, first, os.WEXITED | os.WNOWAIT)

    answers = {returned(one) for _ in range(3)}
    assert len(answers) == 1
    assert first not in answers


def test_invocations_at_the_same_time_have_a_worker_each(pool: MakePool, tmp_path: Path) -> None:
    # Each waits until the other is there: one worker alone would never answer.
    code = f"""
import os, pathlib, time
here = pathlib.Path({str(tmp_path)!r})
def handle(event, context):
    (here / f"in-{{os.getpid()}}").touch()
    while len(list(here.glob("in-*"))) < 2:
        time.sleep(0.01)
    return os.getpid()
"""
    one = pool(code)
    answers: list[int] = []
    threads = [threading.Thread(target=lambda: answers.append(returned(one))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert len(set(answers)) == 2


def test_a_closed_pool_starts_nothing_and_ends_what_runs(pool: MakePool, tmp_path: Path) -> None:
    code = f"""
import pathlib, time
def handle(event, context):
    pathlib.Path({str(tmp_path / "in")!r}).touch()
    time.sleep(600)
"""
    one = pool(code, timeout=900)
    ends: list[str] = []

    def invoke() -> None:
        try:
            invoked(one)
        except StoppedError:
            ends.append("stopped")

    thread = threading.Thread(target=invoke)
    thread.start()
    while not (tmp_path / "in").exists():
        thread.join(0.01)
        assert thread.is_alive()
    one.close(grace=0.1)
    thread.join(30)

    assert ends == ["stopped"]
    with pytest.raises(StoppedError):
        invoked(one)
