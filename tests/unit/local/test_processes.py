"""Children: they start clean, die with their parent, and end when told to."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

from lockstep.local.processes import (
    Child,
    LocalStackError,
    Service,
    dying_with_parent,
    end_left_overs,
    identities,
    start,
    stop,
    wait_until_ready,
)
from lockstep.machine.processes import ProcessIdentity, identify

SLEEP = "import time; time.sleep(600)"
STUBBORN = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
    "print('deaf', flush=True); time.sleep(600)"
)
linux = pytest.mark.xfail(sys.platform != "linux", reason="only Linux ties a child to its parent")


def service(folder: Path, code: str, *, empty: Sequence[Path] = ()) -> Service:
    command = [sys.executable, "-c", code]
    return Service("one", command, folder, folder / "logs" / "one.log", empty=empty)


def eventually(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.01)


def said(child: Child, word: str) -> bool:
    return word in child.service.log.read_text()


def test_a_program_that_is_missing_is_named(tmp_path: Path) -> None:
    java = tmp_path / "java"
    with pytest.raises(LocalStackError, match=f"one cannot start: {java} is not there"):
        start(Service("one", [str(java)], tmp_path, tmp_path / "log"))


def test_a_child_that_dies_is_told_with_the_line_of_its_log_of_this_start(tmp_path: Path) -> None:
    for word in ("first", "second"):
        child = start(service(tmp_path, f"raise ValueError('the {word} cause')"))
        child.process.wait()
        said = r"one did not start \(exit code 1\): ValueError: the {} cause; see its log"
        with pytest.raises(LocalStackError, match=said.format(word)):
            wait_until_ready([child], seconds=60)


@dataclass(frozen=True)
class Slow(Child):
    """A server that ends a dying child while it is asked whether it is ready, and is not."""

    dying: Child = field(kw_only=True)
    asked: list[str] = field(default_factory=list, kw_only=True)

    @property
    def ready(self) -> bool:
        self.asked.append(self.service.name)
        self.dying.kill()
        return False


def test_a_child_that_dies_is_told_before_another_server_is_asked(tmp_path: Path) -> None:
    """A server that hangs answers after some seconds, and there may be several."""
    dying = start(service(tmp_path, SLEEP))
    hung = start(service(tmp_path, SLEEP))
    asked: list[str] = []
    several = [Slow(hung.service, hung.process, dying=dying, asked=asked) for _ in range(3)]
    with pytest.raises(LocalStackError, match=r"did not start \(killed by signal 9\)"):
        wait_until_ready([*several, dying], seconds=60)
    hung.kill()
    assert len(asked) == 1


def test_output_is_appended_to_the_log(tmp_path: Path) -> None:
    for word in ("first", "second"):
        child = start(service(tmp_path, f"print('{word}')"))
        child.process.wait()
    assert child.service.log.read_text().split() == ["first", "second"]


def test_an_ended_child_says_how_it_ended(tmp_path: Path) -> None:
    failed = start(service(tmp_path, "raise SystemExit(3)"))
    failed.process.wait()
    killed = start(service(tmp_path, SLEEP))
    before = killed.died
    killed.kill()
    assert [failed.died, before, killed.died] == ["exit code 3", None, "killed by signal 9"]


def test_its_own_folders_are_emptied_before_each_start(tmp_path: Path) -> None:
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    (temporary / "left over").touch()
    start(service(tmp_path, "", empty=[temporary])).process.wait()
    assert list(temporary.iterdir()) == []


def test_a_child_that_obeys_sigterm_is_not_killed(tmp_path: Path) -> None:
    child = start(service(tmp_path, SLEEP))
    stop([child])
    assert child.died == f"killed by signal {signal.SIGTERM:d}"


def test_a_child_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    child = start(service(tmp_path, STUBBORN))
    eventually(lambda: said(child, "deaf"))
    stop([child], seconds=0.1)
    assert child.died == f"killed by signal {signal.SIGKILL:d}"


def test_in_a_hurry_a_child_that_ignores_sigterm_is_killed_at_once(tmp_path: Path) -> None:
    child = start(service(tmp_path, STUBBORN))
    eventually(lambda: said(child, "deaf"))
    stop([child], seconds=600, hurry=lambda: True)
    assert child.died == f"killed by signal {signal.SIGKILL:d}"


def test_a_child_that_ends_at_once_is_named_with_its_log(tmp_path: Path) -> None:
    child = start(service(tmp_path, "raise SystemExit(3)"))
    child.process.wait()
    with pytest.raises(
        LocalStackError, match=r"one did not start \(exit code 3\); see its log: .*one"
    ):
        wait_until_ready([child], seconds=30)


@linux
def test_when_the_parent_is_killed_its_child_dies(tmp_path: Path) -> None:
    parent_code = f"""
import sys, time
from pathlib import Path
from lockstep.local.processes import Service, start
folder = Path(sys.argv[1])
child = start(Service("one", [sys.executable, "-c", {SLEEP!r}], folder, folder / "log"))
(folder / "pid").write_text(str(child.process.pid))
(folder / "pid").rename(folder / "child")
time.sleep(600)
"""
    command = [sys.executable, "-c", parent_code, str(tmp_path)]
    with subprocess.Popen(command) as parent:  # the code above
        eventually((tmp_path / "child").exists)
        child = identify(int((tmp_path / "child").read_text()))
        assert child.process() is not None
        parent.kill()
    eventually(lambda: child.process() is None)


@linux
def test_a_child_whose_parent_has_ended_does_not_start(tmp_path: Path) -> None:
    command = list(
        dying_with_parent([sys.executable, "-c", f"open({str(tmp_path / 'ran')!r}, 'w')"])
    )
    command[command.index(str(os.getpid()))] = "1"
    ended = subprocess.run(  # built above
        command, check=False, capture_output=True, text=True
    )
    assert (ended.returncode, ended.stderr) == (1, "the parent has already ended\n")
    assert not (tmp_path / "ran").exists()


def test_left_overs_are_ended(tmp_path: Path) -> None:
    child = start(service(tmp_path, STUBBORN))
    left_over = identify(child.process.pid)
    end_left_overs([left_over])
    assert left_over.process() is None
    child.process.wait()


def test_another_process_with_the_same_id_is_not_killed() -> None:
    mine = identify(os.getpid())
    end_left_overs([ProcessIdentity(mine.pid, mine.started - 1000)])
    assert psutil.Process().is_running()


def test_a_process_that_has_ended_has_no_identity() -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    found = identities([os.getpid(), gone.pid])
    assert [one.pid for one in found] == [os.getpid()]
