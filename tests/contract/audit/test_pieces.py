"""The audit in pieces on the real engines, while a producer writes; and conditional writes of S3.

`tests/unit/audit/test_pieces.py` does it on the fakes, with each of the twenty kinds.
"""

import random
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import msgspec
import pytest

from lockstep.audit.audit import WATERMARK
from lockstep.audit.compare import DifferenceKind
from lockstep.audit.pieces.ending import PiecesReport
from lockstep.audit.pieces.schedule import Every
from lockstep.audit.pieces.state import WORK
from lockstep.audit.report import report_lines
from lockstep.stack.stack import LOCAL_NAMESPACE
from lockstep.stack.use_cases.pieces import work
from lockstep.stores import index as index_reader
from lockstep.stores.objects import BucketObjects, UnfinishedReadError
from tests.audit_toll import toll
from tests.contract.redrive.conftest import Stage
from tests.contract.repair.hand import AHEAD, CORRUPTIONS, DAY, Corruption, Hand, a_change, stamp
from tests.contract.repair.test_repair import AT_ONCE, SPOILT, Traffic, answer, settle, tate
from tests.unit.quarantine.stand import Crash

IMAGES = 120
# What the pass over versions and digests cannot see: the digest and the version are as they were.
ONLY_IN_VALUES = (
    Hand.name_changed_in_index,
    Hand.name_changed_in_table,
    Hand.time_changed_in_index,
)
CHECKS = 4


class Nights:
    """Audits of a stage, each in as many invocations as `how` makes of it."""

    def __init__(self, stage: Stage, folder: Path) -> None:
        self.invocations = self.killed = 0
        self._stage = stage
        self._folder = folder
        self._chance = random.Random(1)

    def audited(self, how: str) -> tuple[PiecesReport, Mapping[str, DifferenceKind]]:
        """The report of the next audit, and its differences."""
        published: list[PiecesReport] = []
        self.invocations = self.killed = 0
        # Who is killed after it has published a report may not have stored that the audit ended.
        while not published or self._stage.body("audits/state.json")["step"] != "ended":
            self.invocations += 1
            checks = iter(range(CHECKS if how == "in many" else 10_000_000))
            with self._killed_in_time() if how == "killed" else _nothing():
                try:
                    work(
                        self._stage.clients,
                        Every(0.0),
                        rate=1_000_000.0,
                        watermark=WATERMARK,
                        remaining=partial(_left, checks),
                        # Whoever is killed does not keep the next one waiting.
                        until=self._stage.clients.clock.now(),
                        publish=published.append,
                    )
                except Crash:
                    self.killed += 1
        report = published[-1]
        assert {one.begun for one in published} == {report.begun}
        if report.differences is None:
            return report, {}
        listed = self._folder / "listed.ndjson"
        body = BucketObjects(self._stage.clients.s3, self._stage.stack.bucket).read(
            report.differences
        )
        listed.write_bytes(body or b"")
        return report, {one.image_id: one.kind for one in report_lines(listed)}

    @contextmanager
    def _killed_in_time(self) -> Iterator[None]:
        """The process dies instead of one of its next writes to the bucket."""
        left = self._chance.randrange(3, 8)

        def die(**_: object) -> None:
            nonlocal left
            left -= 1
            if left < 0:
                raise Crash

        events = self._stage.clients.s3.meta.events
        events.register("before-call.s3.PutObject", die)
        try:
            yield
        finally:
            events.unregister("before-call.s3.PutObject", die)


def _left(checks: Iterator[int]) -> float:
    return 0.0 if next(checks, None) is None else 100.0


@contextmanager
def _nothing() -> Iterator[None]:
    yield


def test_the_audit_in_pieces_finds_all_corruptions_and_says_equal_after_the_repair(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index_reader, "DOCUMENTS_PER_PAGE", 40)
    monkeypatch.setattr(index_reader, "WHOLE_DOCUMENTS_PER_PAGE", 40)
    monkeypatch.setattr("lockstep.stores.table.ITEMS_PER_PACED_PAGE", 40)
    monkeypatch.setattr("lockstep.audit.pieces.pieces.IN_MEMORY", 50)
    hand, nights = Hand(stage), Nights(stage, tmp_path)
    injected, untouched = _spoilt(hand)
    ahead = Counter(AHEAD[spoil] for _, spoil in injected.values() if spoil in AHEAD)
    traffic = Traffic(stage, untouched, in_turn=True)
    with traffic.flowing():
        for how, values, but in (
            ("in one", True, ()),
            ("in many", False, ONLY_IN_VALUES),
        ):
            report, found = nights.audited(how)
            expected = {one: kind for one, (kind, spoil) in injected.items() if spoil not in but}
            line = toll(f"in pieces, {how}", IMAGES, expected, found)
            print(f"{line}; {nights.invocations} invocations, {traffic.put} events put meanwhile")  # noqa: T201 - shown by -rP
            assert found == expected
            assert (report.values, report.audit.result) == (values, "different")
            assert report.audit.reason is None
            assert report.read_units > 0
            assert (nights.invocations > 10) is (how == "in many")
        assert traffic.put > 0
    everything = ("--values", "--repair", "--apply", "--at-most", "100")
    assert answer(stage, *everything, code=1)["after"]["ahead"] == dict(ahead)
    settle(stage, tmp_path / "differences.ndjson", ahead)
    # All values again, because the next audit of them would be due in a week only.
    _forget_the_week(stage)
    report, found = nights.audited("killed")
    assert (report.values, report.audit.result, found) == (True, "equal", {})
    assert nights.killed > 3
    report, found = nights.audited("in one")
    assert (report.values, report.audit.result, found) == (False, "equal", {})
    assert stage.keys(WORK) == []


def _spoilt(
    hand: Hand,
) -> tuple[Mapping[str, tuple[DifferenceKind, Corruption]], list[str]]:
    """Images in both stores, every third of them corrupted; and the ids of the others."""
    hand.refresh_every("60s")
    kinds, images = cycle(CORRUPTIONS), tate(IMAGES)
    injected: dict[str, tuple[DifferenceKind, Corruption]] = {}
    untouched = []
    while some := list(islice(images, AT_ONCE)):
        hand.write_both(*some)
        for change in some:
            if int(change.image_id) % SPOILT:
                untouched.append(change.image_id)
                continue
            kind, spoil = next(kinds)
            spoil(hand, change)
            injected[change.image_id] = kind, spoil
    hand.refresh_every(None)
    return injected, untouched


def _forget_the_week(stage: Stage) -> None:
    state = stage.body("audits/state.json")
    stage.write("audits/state.json", state | {"values_ended": None})


def test_a_point_in_time_that_opensearch_has_forgotten_starts_the_index_again(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index_reader, "WHOLE_DOCUMENTS_PER_PAGE", 10)
    hand = Hand(stage)
    hand.write_both(*(a_change(f"T{n}", stamp(DAY), f"image {n}") for n in range(60)))
    looked: list[float] = []

    def remaining() -> float:
        looked.append(0.0)
        return 100.0 if len(looked) < 4 else 0.0

    worked = work(
        stage.clients,
        Every(0.0),
        rate=1_000_000.0,
        watermark=WATERMARK,
        remaining=remaining,
        until=stage.clients.clock.now(),
        publish=lambda _: None,
    )
    assert (worked.done, worked.step) == ("worked", "index")
    state = stage.body("audits/state.json")
    assert 0 < state["point"]["count"] < 60
    hand.opensearch.delete_pit(body={"pit_id": [state["point"]["pit_id"]]})
    report, _ = Nights(stage, tmp_path).audited("in one")
    assert (report.audit.result, report.audit.index) == ("equal", 60)
    assert stage.body(f"audits/reports/{report.run}.json")["audit"]["index"] == 60


def test_an_object_is_replaced_only_if_nobody_has_replaced_it(stage: Stage) -> None:
    bucket = BucketObjects(stage.clients.s3, stage.stack.bucket)
    key = "audits/trial.json"
    assert bucket.read_tagged(key) is None
    assert bucket.replace(key, b"0", "an-old-tag") is None
    first = bucket.replace(key, b"1", None)
    assert first is not None
    assert bucket.replace(key, b"x", None) is None
    second = bucket.replace(key, b"0123456789", first)
    assert second is not None
    assert bucket.replace(key, b"x", first) is None
    # The answer to the first request was lost, and boto3 sent it again.
    assert bucket.replace(key, b"0123456789", first) == second
    assert bucket.read_tagged(key) == (b"0123456789", second)
    assert bucket.read_part(key, 2, 5) == b"234"
    with pytest.raises(UnfinishedReadError):
        bucket.read_part(key, 8, 20)


def test_a_local_stack_audits_itself_again_and_again(stage: Stage) -> None:
    """The process that `lockstep up --audit-every` starts."""
    hand = Hand(stage)
    images = [a_change(f"T{n}", stamp(DAY), f"image {n}") for n in range(5)]
    hand.write_both(*images)
    hand.delete_document(images[0])
    command = ["-m", "lockstep.nightly.local", "--state", str(stage.state), "--every", "1"]
    process = subprocess.Popen([sys.executable, "-u", *command], stdout=subprocess.PIPE, text=True)
    lines: list[dict[str, Any]] = []
    assert process.stdout is not None
    with process:
        for line in process.stdout:
            lines.append(msgspec.json.decode(line))
            if sum("AuditedImages" in one for one in lines) == 2:
                break
        process.kill()
    metrics = [one for one in lines if "AuditedImages" in one]
    assert [(one["AuditedImages"], one["Different"], one["Unknown"]) for one in metrics] == [
        ([5.0], [1.0], [0.0])
    ] * 2
    assert metrics[0]["_aws"]["CloudWatchMetrics"][0]["Namespace"] == LOCAL_NAMESPACE
    ended = [one for one in lines if one.get("message") == "ended"]
    assert ended[0]["audit"]["report"]["audit"]["differences"] == {"missing_in_index": 1}
    texts = [key for key in stage.keys("audits/reports/") if key.endswith(".txt")]
    assert len(texts) == 2
