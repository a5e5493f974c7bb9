"""A loss in a history: the stream removes records before a consumer has read them."""

import datetime as dt
import math
import threading
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from lockstep.audit.acknowledgements import read_acknowledgements, write_acknowledgement
from lockstep.audit.audit import Audit, with_unread
from lockstep.local.mapping.driver import Collaborators, Outage, ShardDriver
from lockstep.local.mapping.invocation import EventSource
from lockstep.simulation import invariants
from lockstep.simulation.components import REAL, STREAM, STREAM_ARN
from lockstep.simulation.faults import Tally
from lockstep.simulation.history import History
from lockstep.simulation.losses import LossBook
from lockstep.simulation.operators.promises import Promises
from lockstep.simulation.operators.tools import Tools
from lockstep.simulation.system import Function
from lockstep.simulation.violation import ViolationError
from lockstep.stream.checkpoints import Checkpoints, read_mappings
from lockstep.stream.gaps import loss_of
from lockstep.stream.kinesis import KinesisStream
from lockstep.stream.losses import Acknowledgement, Loss, Unread, unacknowledged
from lockstep.stream.stream import AfterSequenceNumber, TrimHorizon
from tests.simulation.test_operators import commands, quiet

_HOUR = 3_600.0
_DAY = 24 * _HOUR
_BOTH: Sequence[Function] = ("write_to_dynamodb", "write_to_es")


class Stopped:
    """A history in which some consumers are off while the stream removes what they have not read.

    `off`: these consumers.
    """

    def __init__(self, off: Sequence[Function], folder: Path) -> None:
        self.history = History(quiet())
        self.system = self.history.system
        self.tools = Tools(self.system)
        self.tools.begin(faulty=False)
        self._off, self._folder = off, folder
        self.put("T0", "T1")
        self.drain()

    def put(self, *image_ids: str) -> None:
        """Put an event of each of these images."""
        self.history.uploaders[0].put([(one, "image.updated") for one in image_ids])

    def drain(self, *but: Function) -> None:
        """Let the consumers read everything, except these."""
        for function in _BOTH:
            if function not in but:
                self.history.drain(function)

    def lose(self, *image_ids: str) -> int:
        """Lose an event of each of these images; return how many records were lost in all.

        The retention goes down to a day while the consumers are off, and a day passes. Then other
        events come, which they read.
        """
        system, stream = self.system, self.system.stream
        read = sum(len(one.records) for one in stream.shards.values())
        self.put(*image_ids)
        self.drain(*self._off)
        stream.retention = _DAY
        system.time.advance(_DAY + _HOUR)
        self.put("T1")
        stream.trim_expired()
        return sum(one.trimmed for one in stream.shards.values()) - read

    def read_on(self) -> None:
        """Let the consumers that were off note what they lost, as the local mapping does."""
        for function in self._off:
            self._note(function)
        self.drain()

    def losses(self) -> list[Loss]:
        """The losses that are noted."""
        mappings = read_mappings(self._folder / "checkpoints.db")
        return [
            loss_of(gap, consumer=mapping.function, stream=STREAM)
            for mapping in mappings
            for gap in mapping.gaps
        ]

    def unread(self) -> Unread:
        """The losses that are not acknowledged."""
        return Unread(unacknowledged(self.losses(), read_acknowledgements(self.tools.bucket)))

    def acknowledge(self) -> None:
        """Acknowledge them."""
        unread = self.unread()
        assert unread.since is not None
        now = dt.datetime.fromtimestamp(self.system.time.now, dt.UTC)
        made = Acknowledgement(unread.since, "put again", now, unread.losses)
        write_acknowledgement(self.tools.bucket, made)

    def audit(self) -> Audit:
        """The audit, with what the consumers have lost."""
        found = self.system.components.audit(
            self.tools.table_reader(whole=True),
            self.tools.index_reader(whole=True),
            quarantined_images=self.tools.quarantined,
            clock=self.tools.clock,
            settled=lambda: math.inf,
        )
        return with_unread(found, self.unread())

    def _note(self, function: Function) -> None:
        """Read the first records after the checkpoints with the local mapping's own code."""
        (poller,) = [one for one in self.history._pollers if one.function == function]  # noqa: SLF001 - its checkpoints
        checkpoints = Checkpoints(
            self._folder / "checkpoints.db", uuid=function, function=function, stream_arn=STREAM_ARN
        )
        stream = KinesisStream(cast("Any", self.tools.kinesis), STREAM)
        for shard in self.system.stream.shards.values():
            settled = poller.checkpoints.get(shard.shard_id, 0)
            start = (
                AfterSequenceNumber(shard.records[settled - 1].sequence_number)
                if settled
                else TrimHorizon()
            )
            driver = ShardDriver(
                cast("Any", SimpleNamespace(records_read=lambda *_, **__: None)),
                EventSource(STREAM_ARN, shard.shard_id, "us-east-1", "", ""),
                Collaborators(stream, cast("Any", None), checkpoints, None),
                starting_number=shard.starting_number,
                start=start,
                again=start,
                stopping=threading.Event(),
                outage=Outage(),
            )
            driver._read(100)  # noqa: SLF001 - one step of it
        checkpoints.close()
        poller.restart()  # what it read before it was off is not on the stream any more


def test_what_both_consumers_lost_is_unknown_until_it_is_acknowledged(tmp_path: Path) -> None:
    stopped = Stopped(_BOTH, tmp_path)
    assert stopped.audit().result == "equal"
    began = stopped.system.time.now
    lost = stopped.lose("T0", "T2")
    assert lost == 2
    stopped.read_on()
    assert [(one.consumer, one.records) for one in stopped.losses()] == [(one, 2) for one in _BOTH]
    found = stopped.audit()
    assert (found.result, found.differences, found.table, found.index) == ("unknown", {}, 2, 2)
    assert found.unknown_since is not None
    assert found.unknown_since.timestamp() <= began
    for one in found.losses:
        assert one.until.timestamp() >= began + _DAY

    stopped.acknowledge()
    assert stopped.audit().result == "equal"
    # Another loss is none that was acknowledged.
    assert stopped.lose("T2") == 1
    stopped.read_on()
    again = stopped.audit()
    assert (again.result, [one.records for one in again.losses]) == ("unknown", [1, 1])


def test_what_one_consumer_lost_is_different_and_unknown_after_the_repair(tmp_path: Path) -> None:
    stopped = Stopped(["write_to_es"], tmp_path)
    stopped.lose("T0", "T2")
    stopped.read_on()
    assert [(one.consumer, one.records) for one in stopped.losses()] == [("write_to_es", 2)]
    found = stopped.audit()
    assert found.result == "different"
    assert found.differences == {"index_behind": 1, "missing_in_index": 1}
    assert found.losses == stopped.unread().losses

    audits, repairs, _ = commands(stopped.history, stopped.tools, Promises(stopped.tools))
    differences = audits.audit(whole=True, faulty=False) or ()
    repairs.repair(differences, limit=100.0, faulty=False)
    repaired = stopped.audit()
    assert (repaired.result, repaired.differences) == ("unknown", {})
    stopped.acknowledge()
    assert stopped.audit().result == "equal"


def test_consumers_lose_records_in_random_histories_and_an_operator_acknowledges() -> None:
    tally = Tally()
    for seed in range(12):
        kinds = ("put", "lose records", "put", "lose records")
        history = History(quiet(*kinds, seed=seed), REAL, tally)
        history.run()
        losses = history.system.losses
        assert losses.lost
        assert all(losses.is_lost(one.consumer, one.accepted) for one in losses.lost)
    for fault in ("table's", "index's"):
        assert tally[cast("Any", f"records lost by the {fault} consumer")]
    assert tally["losses acknowledged"] > 5


def test_the_end_of_a_history_knows_what_a_consumer_may_lack() -> None:
    found = set()
    for seed in range(6):  # in some of them, a later event hides what was lost
        history = History(quiet("put", "lose records", seed=seed))
        history.run()
        history.system.losses = LossBook(REAL, history.system.stream)
        try:
            invariants.check(history.system, history.uploaders)
        except ViolationError as violation:
            found.add(violation.invariant)
    assert found <= {"I1", "I3"}
    assert "I3" in found


@pytest.mark.parametrize("off", [[], ["write_to_es"]])
def test_without_a_removed_record_nothing_is_lost(off: Sequence[Function], tmp_path: Path) -> None:
    stopped = Stopped(off, tmp_path)
    stopped.put("T0", "T2")
    stopped.drain(*off)
    stopped.read_on()
    assert stopped.losses() == []
    assert stopped.audit().result == "equal"


@pytest.mark.parametrize("is_lost", [False, True])
def test_no_event_is_outrun_by_one_that_the_consumer_had_lost(
    is_lost: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    history = History(quiet())
    system = history.system
    stamping, counting, *_ = history.uploaders
    stamping.put([("T0", "image.updated")])
    history.drain("write_to_es")
    (stamped,) = system.stream.accepted
    system.time.advance(_HOUR)
    counting.put([("T0", "image.updated")])  # nobody reads it
    if is_lost:  # and a repair wrote it to the index after the other one
        system.losses.lose("write_to_es", stamped, "T0")
    expected = nullcontext() if is_lost else pytest.raises(ViolationError, match="is outrun")
    with expected:
        invariants._check_outrun(system, system.consumers["write_to_es"], set())  # noqa: SLF001 - one rule of them
