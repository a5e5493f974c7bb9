"""Who is at work, and what has become of them."""

import subprocess
import sys

import msgspec

from lockstep.rebuild.worker import RebuildWorker, state_of, this_worker


def test_this_process_is_at_work_and_says_so() -> None:
    assert state_of(this_worker()) == "at_work"
    assert str(RebuildWorker("host", 7, 0.0)) == "process 7 on host"


def test_one_that_has_ended_is_gone() -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    worker = msgspec.structs.replace(this_worker(), pid=ended.pid)
    ended.wait()
    assert state_of(worker) == "gone"


def test_another_process_under_the_same_number_is_not_it() -> None:
    assert state_of(msgspec.structs.replace(this_worker(), started_at=1.0)) == "gone"


def test_of_one_on_another_machine_nothing_is_known() -> None:
    assert state_of(msgspec.structs.replace(this_worker(), host="elsewhere")) == "unknown"
