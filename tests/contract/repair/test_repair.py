"""Corruptions of every kind on the real engines: exactly those are found, and all are repaired.

`make audit-at-scale` does it with as many images as the whole collection has.
"""

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import msgspec
import pytest

from lockstep.audit.ahead import AheadKind
from lockstep.audit.compare import DifferenceKind
from lockstep.commands.options import APPLY_HINT
from lockstep.producing.producer import Producer, Stamp
from lockstep.producing.sources import BadLine, read_events
from lockstep.source_files.converters import load_mapping
from shared.change import Change, Put
from shared.event import Event
from tests.audit_toll import toll
from tests.builders import decoded, image_event
from tests.contract.redrive.conftest import Stage
from tests.contract.repair.hand import (
    AHEAD,
    CORRUPTIONS,
    DAY,
    Corruption,
    Hand,
    a_change,
    arrived,
    over_since_yesterday,
    stamp,
)

TATE = Path(__file__).parents[3] / "data" / "tate-2000.ndjson"
IMAGES = 300  # unless --images says otherwise
SPOILT = 3  # every so manieth
AT_ONCE = 100


def tate(count: int) -> Iterator[Change]:
    """So many real images, a day old; the same images repeat with other IDs."""
    events = list(read_events(TATE.read_bytes().splitlines(), Stamp(), load_mapping("tate")))
    for number, event in enumerate(islice(cycle(events), count)):
        assert not isinstance(event, BadLine)
        version = event.version - DAY * 1_000_000
        its_own = msgspec.structs.replace(event, image_id=f"{number}", version=version)
        yield arrived(its_own, age=DAY)


class Traffic:
    """A producer that keeps writing, and both consumers, each in a thread.

    `in_turn`: all three in one thread, so that no consumer lags for long on a busy machine.
    """

    def __init__(self, stage: Stage, touched: Sequence[str], *, in_turn: bool = False) -> None:
        self.put = 0
        self._stage = stage
        self._touched = touched
        self._in_turn = in_turn
        self._done = threading.Event()
        self._broken: list[Exception] = []

    @contextmanager
    def flowing(self) -> Iterator[None]:
        """New, changed and deleted images, as long as the block lasts."""
        consumers = self._stage.consumers.values()
        work = [self._produce, *(lambda one=one: one.drain(now=time.time()) for one in consumers)]
        if self._in_turn:
            work = [partial(_each, work)]
        threads = [threading.Thread(target=self._repeat, args=(one,)) for one in work]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._done.set()
            for thread in threads:
                thread.join()
        assert self._broken == []
        self._stage.drain()

    def _repeat(self, work: Callable[[], object]) -> None:
        try:
            while not self._done.wait(0.1):
                work()
        except Exception as error:  # noqa: BLE001 - told by the test's own thread
            self._broken.append(error)

    def _produce(self) -> None:
        producer = Producer(self._stage.clients.kinesis, self._stage.stack.stream)
        self.put += producer.put(self._event() for _ in range(5)).put

    def _event(self) -> Event:
        kind = random.choice(("image.uploaded", "image.updated", "image.deleted"))
        new = kind == "image.uploaded"
        image_id = f"live-{stamp()}" if new else random.choice(self._touched)
        return decoded(image_event(image_id, stamp(), kind))


def _each(work: Sequence[Callable[[], object]]) -> None:
    for one in work:
        one()


def answer(stage: Stage, *words: object, code: int) -> Any:
    result = stage.lockstep("audit", "--watermark", "10", *words, "--json")
    assert result.exit_code == code, result.output
    return msgspec.json.decode(result.stdout)


def test_all_corruptions_are_found_and_repaired_and_no_other_while_a_producer_writes(
    stage: Stage, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    count = request.config.getoption("--images") or IMAGES
    hand = Hand(stage)
    removed = [a_change(f"removed-{n}", stamp(DAY), None) for n in range(20)]
    over = [over_since_yesterday(f"over-{n}", stamp(DAY)) for n in range(4)]
    hand.write_both(*removed)
    # A tombstone past its time in one store only is no difference.
    hand.write(hand.index_sink, *over)
    hand.refresh_every("60s")
    images = tate(count)
    kinds = cycle(CORRUPTIONS)
    injected: dict[str, DifferenceKind] = {}
    ahead: Counter[AheadKind] = Counter()
    samples: dict[Corruption, Change] = {}
    untouched: list[str] = []
    while some := list(islice(images, AT_ONCE)):
        hand.write_both(*some)
        for change in some:
            if int(change.image_id) % SPOILT:
                untouched.append(change.image_id)
                continue
            kind, spoil = next(kinds)
            spoil(hand, change)
            injected[change.image_id] = kind
            ahead.update([AHEAD[spoil]] if spoil in AHEAD else [])
            samples.setdefault(spoil, change)
    hand.refresh_every(None)
    traffic = Traffic(stage, untouched)
    with traffic.flowing():
        report = tmp_path / "differences.ndjson"
        answer(stage, "--values", "--report", report, code=1)
        lines = [msgspec.json.decode(line) for line in report.read_bytes().splitlines()]
        found = {line["image_id"]: line["kind"] for line in lines}
        line = toll("audit --values", count, injected, found)
        print(f"{line}; {traffic.put:,} events put meanwhile")  # noqa: T201 - shown by -rP
        assert found == injected
        before = traffic.put
        repaired = answer(stage, "--values", "--repair", "--apply", "--at-most", "100", code=1)
        assert traffic.put > before > 0
    written = repaired["repaired"]["written"]
    print(f"repair: {written}; {traffic.put:,} events put meanwhile")  # noqa: T201 - the same
    assert repaired["after"]["ahead"] == dict(ahead)
    assert (repaired["repaired"]["undecided"], repaired["repaired"]["not_repaired"]) == ([], [])
    assert repaired["repaired"]["passes"] <= 3
    assert sum(written.values()) >= len(injected) - ahead.total()
    for spoil, was in samples.items():
        assert isinstance(was, Put)
        if spoil in AHEAD:
            continue
        name = NAMES_AFTER.get(spoil, was.image.name)
        assert stage.names(was.image_id) == {name}, spoil
    settle(stage, report, ahead)


def settle(stage: Stage, report: Path, ahead: Counter[AheadKind]) -> None:
    """Answer what the repair left. Nothing is left that the traffic could explain."""
    assert answer(stage, "--values", "--report", report, code=1)["ahead"] == dict(ahead)
    everything = ("--repair", "--apply", "--at-most", "100", "--values")
    kinds = "image,removal,malformed"
    answered = answer(stage, *everything, "--index-wins", report, "--kind", kinds, code=1)
    print(f"answers: {answered['answered']['written']}")  # noqa: T201 - shown by -rP
    assert answered["after"]["ahead"] == {"outlived": ahead["outlived"]}
    answer(stage, *everything, "--table-wins", report, "--kind", "outlived", code=0)


# What an image is called once it is mended, where that is not its own name.
NAMES_AFTER: dict[Corruption, str | None] = {
    Hand.newer_in_table: "newer",
    Hand.other_in_table: "other",
    Hand.removed_in_table: None,
    Hand.tombstone_in_table: None,
}


def test_a_repair_is_shown_first_obeys_the_limit_and_reports_what_needs_an_operator(
    stage: Stage,
) -> None:
    hand = Hand(stage)
    hand.write(hand.table_sink, a_change("T1", stamp(DAY), "image"))
    hand.update_item("bad", "SET version = :v", ExpressionAttributeValues={":v": {"S": "\x1b[2J"}})
    shown = stage.lockstep("audit", "--repair")
    assert shown.exit_code == 1
    assert "T1: write version" in shown.stdout
    assert f"1 image would be written (50 % of all); {APPLY_HINT}" in shown.stdout
    braked = stage.lockstep("audit", "--repair", "--apply")
    assert braked.exit_code == 2
    (where, line) = [line for line in braked.stderr.splitlines() if line]
    assert where.startswith("local stack ")
    assert "1 of 2 images would be written: 50 % is more than 1 %" in line
    assert stage.names("T1") == {"image", None}
    applied = stage.lockstep("audit", "--repair", "--apply", "--at-most", "50")
    assert applied.exit_code == 1
    assert "1 image written, in 1 pass\n" in applied.stdout
    assert "decide by hand: bad: the item is malformed" in applied.stdout
    assert "\x1b" not in applied.output
    assert stage.names("T1") == {"image"}
