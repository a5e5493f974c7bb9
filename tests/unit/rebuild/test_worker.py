"""Whether the process that runs a rebuild still runs."""

import subprocess
import sys

import msgspec

from lockstep.rebuild.worker import RebuildWorker, state_of, this_worker


def test_this_process_is_running() -> None:
    assert state_of(this_worker()) == "at_work"
    assert str(RebuildWorker("host", 7, 0.0)) == "process 7 on host"


def test_a_process_that_has_ended_is_gone() -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    worker = msgspec.structs.replace(this_worker(), pid=ended.pid)
    ended.wait()
    assert state_of(worker) == "gone"


def test_another_process_with_the_same_id_is_not_the_worker() -> None:
    assert state_of(msgspec.structs.replace(this_worker(), started_at=1.0)) == "gone"


def test_a_worker_on_another_machine_is_unknown() -> None:
    assert state_of(msgspec.structs.replace(this_worker(), host="elsewhere")) == "unknown"
