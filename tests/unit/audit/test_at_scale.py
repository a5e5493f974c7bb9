"""Corruptions of every kind among many images, while a producer writes: exactly those are found.

`make audit-at-scale` does it with a million images, a tenth of them spoilt.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from itertools import cycle
from typing import TYPE_CHECKING, cast

import msgspec
import pytest

from functions.write_to_es.document import document_from
from lockstep.audit.ahead import AheadKind
from lockstep.audit.audit import Audit, audit
from lockstep.audit.compare import DifferenceKind
from lockstep.audit.recheck import Difference
from lockstep.audit.report import ReportLine, as_line
from lockstep.repair.answers import Answers
from lockstep.repair.decide_answer import Winner
from lockstep.repair.repair import DifferingImage, Repair, differing_image
from lockstep.repair.replaced import Replaced
from lockstep.simulation.fakes.opensearch import StoredDocument
from lockstep.simulation.fakes.partiql import Item
from lockstep.simulation.plan import seeded_random
from lockstep.stores.corrections import TableCorrections
from shared.change import Change
from shared.item import item_from
from tests.audit_toll import toll
from tests.builders import clock
from tests.unit.audit.corruptions import AHEAD, CORRUPTIONS, ONLY_IN_VALUES, Corruption
from tests.unit.audit.packed import packed_documents, packed_items
from tests.unit.audit.stand import OLD, STAMP, Stand, a_change
from tests.unit.audit.traffic import Moving, Traffic
from tests.unit.quarantine.stand import MemoryObjects

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

IMAGES = 1_000  # unless --images says otherwise
SPOILT = 10  # every so manieth


def population(images: int) -> Iterator[Change]:
    """Images and tombstones, some of them expired."""
    for number in range(images):
        content = None if number % 50 in {3, 13} else f"image {number}"
        arrived = OLD if number % 50 == 13 else OLD + 30 * 86_400
        yield a_change(STAMP + number, content, arrived=arrived, image_id=f"i{number}")


class Run:
    """A stack of so many images, some of them corrupted, and what audits and repairs it."""

    def __init__(self, images: int) -> None:
        self.images = images
        self.stand = stand = Stand()
        stand.dynamodb.items = cast("dict[str, Item]", packed_items())
        stand.opensearch.documents = cast("dict[str, StoredDocument]", packed_documents())
        self.injected: dict[str, Corruption] = {}
        self.differences: list[Difference] = []
        kinds = cycle(CORRUPTIONS)
        for number, change in enumerate(population(images)):
            if number % 50 != 13:  # past its time, it may be gone from one of them
                stand.dynamodb.items[change.image_id] = item_from(change)
            stand.opensearch.documents[change.image_id] = StoredDocument(
                change.version, msgspec.to_builtins(document_from(change)), 0.0
            )
            if number % SPOILT == 0:
                corruption = next(kinds)
                corruption(stand, change)
                self.injected[change.image_id] = corruption
        chance = seeded_random(1)
        self.traffic = Traffic(
            stand, lambda: f"i{chance.randrange(images // SPOILT) * SPOILT + 5}", chance
        )
        self.clock = clock(now=lambda: stand.at, elapsed=lambda: stand.at, sleep=self.traffic.sleep)

    def expected(self, *but: Corruption) -> Mapping[str, DifferenceKind]:
        """The injected corruptions, by image, without these."""
        return {
            image_id: CORRUPTIONS[corruption]
            for image_id, corruption in self.injected.items()
            if corruption not in but
        }

    def audited(
        self, *, values: bool, settled: Callable[[], float] | None = None
    ) -> tuple[Audit, Mapping[str, DifferenceKind]]:
        found: list[Difference] = []
        stores = self.stand.whole_stores if values else (self.stand.table, self.stand.index)
        answer = audit(
            *(Moving(store, self.traffic) for store in stores),
            quarantined_images=list,
            clock=self.clock,
            settled=settled or self.traffic.settled,
            on_difference=found.append,
        )
        self.differences = found
        assert (answer.reason, answer.under_way) == (None, 0)
        assert sum(answer.differences.values()) == len(found)
        return answer, {one.image_id: differing_image(one).kind for one in found}

    def mended(self, found: Mapping[str, DifferenceKind]) -> Mapping[str, int]:
        done = self.repair.apply([DifferingImage(*one) for one in found.items()])
        assert (done.undecided, done.not_repaired) == ([], [])
        return done.written

    def answered(self, winner: Winner, kinds: frozenset[AheadKind]) -> Mapping[str, int]:
        """Answer the report of the last audit."""
        stand = self.stand
        answers = Answers(
            winner,
            kinds,
            table=Moving(stand.table, self.traffic),
            index=Moving(stand.index, self.traffic),
            table_sink=stand.table_sink,
            table_corrections=TableCorrections(cast("DynamoDBClient", stand.dynamodb), "images"),
            corrections=stand.corrections,
            repair=self.repair,
            replaced=Replaced(MemoryObjects(), "run"),
            explained=frozenset,
            clock=self.clock,
        )
        lines = [
            msgspec.convert(as_line(one), ReportLine)
            for one in self.differences
            if one.ahead is not None
        ]
        done = answers.apply(lines)
        assert (done.left, done.not_changed) == ([], [])
        return done.written

    @property
    def repair(self) -> Repair:
        stand = self.stand
        return Repair(
            Moving(stand.table, self.traffic),
            Moving(stand.index, self.traffic),
            index_sink=stand.index_sink,
            corrections=stand.corrections,
            clock=self.clock,
        )


def test_every_corruption_is_found_and_repaired_and_no_other_while_a_producer_writes(
    request: pytest.FixtureRequest,
) -> None:
    run = Run(request.config.getoption("--images") or IMAGES)
    for what, values, but in (("audit", False, ONLY_IN_VALUES), ("audit --values", True, ())):
        before = run.traffic.put
        answer, found = run.audited(values=values)
        expected = run.expected(*but)
        line = toll(what, run.images, expected, found)
        print(f"{line}; {run.traffic.put - before:,} events put meanwhile")  # noqa: T201 - shown by -rP
        assert found == expected
        assert run.traffic.put > before
        assert answer.exit_code == 1
    written = run.mended(found)
    print(f"repair: {written}")  # noqa: T201 - the same
    left = run.expected(*(one for one in CORRUPTIONS if one not in AHEAD))
    assert sum(written.values()) >= len(run.injected) - len(left)
    answer, found = run.audited(values=True)
    print(toll("audit --values, once mended", run.images, left, found))  # noqa: T201 - the same
    assert found == left
    assert answer.ahead == dict(Counter(AHEAD[run.injected[image_id]] for image_id in left))
    done = Counter(run.answered("index", frozenset({"image", "removal", "malformed"})))
    done.update(run.answered("table", frozenset({"outlived"})))
    print(f"answers: {dict(done)}")  # noqa: T201 - the same
    assert done.total() == len(left)
    answer, found = run.audited(values=True)
    print(toll("audit --values, once answered", run.images, {}, found))  # noqa: T201 - the same
    assert (answer.result, found) == ("equal", {})
    # The same without any traffic that could explain a difference.
    run.traffic.drain()
    answer = audit(
        *run.stand.whole_stores, quarantined_images=list, clock=run.stand.clock, watermark=0
    )
    assert (answer.result, answer.under_way) == ("equal", 0)


def test_an_audit_that_waits_for_no_consumer_would_report_false_differences() -> None:
    run = Run(200)
    invented = 0
    for _ in range(20):
        _, found = run.audited(values=False, settled=lambda: math.inf)
        invented += len(found.keys() - run.injected.keys())
    assert invented > 0
