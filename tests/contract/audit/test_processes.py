"""An audit in several processes on the real engines finds what an audit in one process finds.

`make audit-at-scale` does it with 69,202 images and 500 corruptions.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import msgspec
import psutil
import pytest

from lockstep.audit.compare import DifferenceKind
from lockstep.stack.use_cases.audit_processes import ATTEMPTS
from tests.audit_toll import toll
from tests.contract.redrive.conftest import Stage
from tests.contract.repair.hand import CORRUPTIONS, DAY, Hand, a_change, stamp
from tests.contract.repair.test_repair import AT_ONCE, answer, tate

IMAGES = 150
MOST_CORRUPTIONS = 500
INTERRUPTED = 130


def spoilt(hand: Hand, count: int) -> Mapping[str, DifferenceKind]:
    """So many images in both stores; the kinds of the corruptions among them, by image."""
    hand.refresh_every("60s")
    kinds, images = cycle(CORRUPTIONS), tate(count)
    every = max(3, -(-count // MOST_CORRUPTIONS))
    injected: dict[str, DifferenceKind] = {}
    while some := list(islice(images, AT_ONCE)):
        hand.write_both(*some)
        for change in some:
            if int(change.image_id) % every == 0:
                kind, spoil = next(kinds)
                spoil(hand, change)
                injected[change.image_id] = kind
    hand.refresh_every(None)
    return injected


def test_1_7_and_64_segments_find_exactly_what_one_process_finds(
    stage: Stage, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    count = request.config.getoption("--images") or IMAGES
    injected = spoilt(Hand(stage), count)

    def audited(*how: object) -> tuple[Any, Any]:
        report = tmp_path / "differences.ndjson"
        found = answer(stage, "--values", "--report", report, *how, code=1)
        del found["seconds"]
        return found, {
            line["image_id"]: line
            for line in map(msgspec.json.decode, report.read_bytes().splitlines())
        }

    found, lines = audited()
    for segments in (1, 7, 64):
        again, found_again = audited("--processes", 2, "--segments", segments)
        kinds = {image_id: line["kind"] for image_id, line in found_again.items()}
        print(toll(f"{segments} segments", count, injected, kinds))  # noqa: T201 - shown by -rP
        assert kinds == injected
        assert (again, found_again) == (found, lines)
    assert found["table"] > count * 0.9


def test_what_arrived_since_and_at_which_rate_are_the_same_in_processes(stage: Stage) -> None:
    hand = Hand(stage)
    old = [a_change(f"old-{n}", stamp(9 * DAY), f"old {n}", age=9 * DAY) for n in range(20)]
    new = [a_change(f"new-{n}", stamp(DAY), f"new {n}") for n in range(20)]
    hand.write_both(*old, *new)
    hand.delete_document(old[0])
    hand.delete_item(new[0])
    some = ("--since", "2d", "--rate", 10_000)
    in_one = answer(stage, *some, code=1)
    in_two = answer(stage, *some, "--processes", 2, "--segments", 5, code=1)
    assert in_two | {"seconds": 0} == in_one | {"seconds": 0}
    assert in_one["differences"] == {"missing_in_table": 1}
    assert in_one["index"] == 20


@contextmanager
def running(stage: Stage, tmp_path: Path, *how: str) -> Iterator["subprocess.Popen[str]"]:
    """The command in a process of its own, whose temporary files are in this folder."""
    typed = ["-m", "lockstep", "audit", "--json", "--state", str(stage.state), *how]
    command = subprocess.Popen(
        [sys.executable, *typed],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"TMPDIR": str(tmp_path)},
    )
    with command:
        yield command
        command.kill()


def readers_of(command: "subprocess.Popen[str]") -> list[psutil.Process]:
    """The processes of a command that read, and still run."""
    found = []
    for one in psutil.Process(command.pid).children():
        try:
            if any("spawn_main" in word for word in one.cmdline()):
                found.append(one)
        except psutil.NoSuchProcess:
            continue
    return found


def kill_readers(command: "subprocess.Popen[str]", most: int) -> int:
    """Kill the processes of so many pools, each as soon as it is seen; return how many."""
    killed = 0
    while command.poll() is None and killed < most:
        try:
            readers = readers_of(command)
        except psutil.NoSuchProcess:
            break
        for one in readers:
            one.kill()
        killed += bool(readers)
        psutil.wait_procs(readers, timeout=60)
    return killed


@pytest.mark.parametrize("times", [1, ATTEMPTS - 1])
def test_after_a_process_was_killed_the_audit_finds_the_same(
    stage: Stage, tmp_path: Path, times: int
) -> None:
    injected = spoilt(Hand(stage), 60)
    with running(stage, tmp_path, "--values", "--processes", "1", "--segments", "4") as command:
        assert kill_readers(command, times) == times
        out, err = command.communicate()
    assert command.returncode == 1, err
    found = msgspec.json.decode(out)
    assert sum(found["differences"].values()) == len(injected)
    assert list(tmp_path.glob("lockstep-audit-*")) == []


def test_processes_that_are_always_killed_make_the_audit_unknown(
    stage: Stage, tmp_path: Path
) -> None:
    with running(stage, tmp_path, "--processes", "1") as command:
        assert kill_readers(command, 100) == ATTEMPTS
        out, err = command.communicate()
    assert command.returncode == 2, err
    assert f"a process of the audit ended {ATTEMPTS} times" in msgspec.json.decode(out)["reason"]


def test_ctrl_c_ends_all_processes_and_leaves_no_file(stage: Stage, tmp_path: Path) -> None:
    Hand(stage).write_both(a_change("T1", stamp(DAY), "an image"))
    with running(stage, tmp_path, "--processes", "2", "--segments", "512") as command:
        while not (readers := readers_of(command)):
            assert command.poll() is None
        command.send_signal(signal.SIGINT)
        _, err = command.communicate()
    assert (command.returncode, err.strip()) == (INTERRUPTED, "interrupted")
    _, alive = psutil.wait_procs(readers, timeout=60)
    assert alive == []
    assert list(tmp_path.glob("lockstep-audit-*")) == []


def test_the_processes_end_when_the_command_is_killed(stage: Stage, tmp_path: Path) -> None:
    with running(stage, tmp_path, "--processes", "2", "--segments", "1024") as command:
        while not (readers := readers_of(command)):
            assert command.poll() is None
        command.kill()
        _, alive = psutil.wait_procs(readers, timeout=60)
    assert alive == []


def test_a_store_that_cannot_be_read_makes_the_audit_unknown_as_in_one_process(
    stage: Stage,
) -> None:
    assert answer(stage, "--processes", 2, "--within", 0, code=2)["reason"] == (
        "the audit did not end within 0 s"
    )
    stage.clients.opensearch.indices.delete(index=f"{stage.stack.index}-000001")
    in_one = answer(stage, code=1)
    in_two = answer(stage, "--processes", 2, code=1)
    assert in_two["result"] == "unknown"
    assert in_two["reason"] == in_one["reason"] == f"index {stage.stack.index} does not exist"
