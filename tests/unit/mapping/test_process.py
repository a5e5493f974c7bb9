"""The driver of the core, with a stream and a function that are objects in memory."""

import datetime as dt
import logging
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from lockstep.local.mapping.batch import PAYLOAD_BYTES
from lockstep.local.mapping.driver import Collaborators
from lockstep.local.mapping.failure import DestinationError, FailureDocument
from lockstep.local.mapping.invocation import EventSource
from lockstep.local.mapping.process import Process
from lockstep.local.mapping.response import Errored, InvocationResult, Returned
from lockstep.local.mapping.settings import Settings
from lockstep.stream.checkpoints import Checkpoint, Checkpoints, Gap, read_mappings
from lockstep.stream.sequence import SequenceNumber
from lockstep.stream.stream import (
    AfterSequenceNumber,
    AtTimestamp,
    ListedShard,
    Position,
    PositionLostError,
    Records,
    ShardNotFoundError,
    StreamRecord,
    StreamUnavailableError,
    TrimHorizon,
)

PLACE = EventSource("arn:stream", "", "us-east-1", "arn:function", "arn:role")
NOW_MS = round(dt.datetime.now(dt.UTC).timestamp() * 1000)


class Stream:
    """One closed shard."""

    def __init__(self, *reads: Sequence[StreamRecord] | Exception) -> None:
        self.reads = list(reads)
        self.listed = [ListedShard("shard", frozenset(), "0")]
        self.asked: list[Position] = []

    def retention(self) -> float:
        return 86_400.0

    def shards(self) -> Sequence[ListedShard]:
        return self.listed

    def reader(self, shard_id: str, position: Position) -> "Stream":
        assert shard_id == "shard"
        self.asked.append(position)
        return self

    def read(self, limit: int) -> Records:
        read = self.reads.pop(0)
        if isinstance(read, ShardNotFoundError):
            self.listed = []
        if isinstance(read, Exception):
            raise read
        assert len(read) <= limit
        return Records(read, behind=bool(self.reads), ended=not self.reads)


class Function:
    """Answers, in order, what the test wrote down; then that all is done."""

    def __init__(self, *answers: InvocationResult | Exception) -> None:
        self.answers = list(answers)
        self.events: list[bytes] = []
        self.closed = False

    def invoke(self, event: bytes, request_id: str) -> InvocationResult:
        assert request_id
        self.events.append(event)
        answer = self.answers.pop(0) if self.answers else Returned(b"null")
        if isinstance(answer, Exception):
            raise answer
        return answer

    def close(self, grace: float) -> None:
        assert grace > 0
        self.closed = True


class Destination:
    """Takes documents, after some trouble."""

    def __init__(self, troubles: int = 0) -> None:
        self.troubles = troubles
        self.documents: list[FailureDocument] = []

    def write(self, document: FailureDocument, at: dt.datetime) -> str:
        assert at.tzinfo
        if self.troubles:
            self.troubles -= 1
            raise DestinationError("no such bucket")
        self.documents.append(document)
        return "s3://there"


@pytest.fixture
def checkpoints(tmp_path: Path) -> Iterator[Checkpoints]:
    path = tmp_path / "checkpoints.db"
    with closing(Checkpoints(path, uuid="u", function="f", stream_arn="arn:stream")) as one:
        yield one


def record(number: str, data: bytes = b"data") -> StreamRecord:
    return StreamRecord(number, "key", data, NOW_MS)


def run(world: Collaborators, *, until: Checkpoint | None = None, **settings: object) -> None:
    """Until the shard is read to its end, or its checkpoint is this one.

    An idle shard is read when its stream announces something, and otherwise after an hour.
    """
    changed = msgspec.structs.replace(Settings(reports_item_failures=True), **settings)
    process = Process(changed, PLACE, world, quiet_seconds=3600)
    thread = threading.Thread(target=process.run)
    thread.start()
    try:
        for _ in range(600):
            found = world.checkpoints.all().get("shard")
            if found and (found.ended if until is None else found == until):
                return
            thread.join(0.1)
            assert thread.is_alive()
        pytest.fail("the shard never ended")
    finally:
        process.stop()
        thread.join(30)


def test_a_shard_is_read_to_its_end_and_marked_so(checkpoints: Checkpoints) -> None:
    function = Function()

    run(Collaborators(Stream([record("1"), record("2")]), function, checkpoints, None))

    assert len(function.events) == 1
    assert function.closed
    assert checkpoints.all() == {"shard": Checkpoint("2", ended=True)}


def test_a_record_too_large_for_any_invocation_is_discarded_without_one(
    checkpoints: Checkpoints,
) -> None:
    function, destination = Function(), Destination()
    stream = Stream([record("1", b"x" * PAYLOAD_BYTES), record("2")])

    run(Collaborators(stream, function, checkpoints, destination), retries=0)

    assert len(function.events) == 1
    (document,) = destination.documents
    assert document.batch.start_sequence_number == document.batch.end_sequence_number == "1"


def test_a_failure_document_is_written_before_the_shard_goes_on(
    checkpoints: Checkpoints, caplog: pytest.LogCaptureFixture
) -> None:
    destination = Destination(troubles=2)
    function = Function(Errored("ValueError", "poison"))

    run(
        Collaborators(Stream([record("1"), record("2")]), function, checkpoints, destination),
        retries=0,
        batch_size=1,
    )

    assert len(destination.documents) == 1
    assert checkpoints.all() == {"shard": Checkpoint("2", ended=True)}
    log = caplog.text
    assert log.count("the failure document was not written: no such bucket") == 2
    assert "no retries left: ValueError: poison" in log
    assert "RetryAttemptsExhausted after 1 invocations: s3://there" in log


def test_an_unavailable_stream_is_logged_once(
    checkpoints: Checkpoints, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    down = StreamUnavailableError("refused")

    run(Collaborators(Stream(down, down, [record("1")]), Function(), checkpoints, None))

    assert caplog.text.count("the stream is unavailable, retrying: refused") == 1
    assert caplog.text.count("the stream is available again") == 1


def test_a_position_that_the_stream_does_not_have_starts_over(
    checkpoints: Checkpoints, caplog: pytest.LogCaptureFixture
) -> None:
    checkpoints.advance("shard", "9")
    stream = Stream(PositionLostError("beyond the last record"), [record("1")])

    run(Collaborators(stream, Function(), checkpoints, None))

    assert stream.asked == [AfterSequenceNumber("9"), TrimHorizon()]
    assert checkpoints.all() == {"shard": Checkpoint("1", ended=True)}
    assert "checkpoint lost" in caplog.text


@pytest.mark.parametrize("settled", [["3"], []], ids=["with records", "empty"])
def test_a_shard_of_a_stream_made_again_is_read_from_its_start(
    checkpoints: Checkpoints,
    caplog: pytest.LogCaptureFixture,
    tmp_path: Path,
    settled: list[str],
) -> None:
    for number in settled:
        checkpoints.advance("shard", number)
    checkpoints.end("shard", "1")
    stream, function = Stream([record("11")]), Function()
    stream.listed = [ListedShard("shard", frozenset(), "10")]
    world = Collaborators(stream, function, checkpoints, None)

    run(world, until=Checkpoint("11", ended=True))

    assert stream.asked == [TrimHorizon()]
    assert len(function.events) == 1
    assert caplog.text.count("checkpoint lost") == 1
    assert [gap.after for gap in gaps(tmp_path)] == [settled[0] if settled else "1"]


def test_an_earlier_streams_end_does_not_end_the_shard_made_again(checkpoints: Checkpoints) -> None:
    checkpoints.advance("shard", "3")
    checkpoints.end("shard", "1")
    stream = Stream([record("11")], *[StreamUnavailableError("refused")] * 20)
    stream.listed = [ListedShard("shard", frozenset(), "10")]
    world = Collaborators(stream, Function(), checkpoints, None)

    run(world, until=Checkpoint("11", ended=False), batch_size=1)


def test_a_shard_that_ended_is_not_read_again(checkpoints: Checkpoints) -> None:
    checkpoints.end("parent", "0")
    stream = Stream([record("6")])
    stream.listed = [
        ListedShard("parent", frozenset(), "0"),
        ListedShard("shard", frozenset({"parent"}), "5"),
    ]

    run(Collaborators(stream, Function(), checkpoints, None))

    assert stream.asked == [TrimHorizon()], "of the child alone"
    assert checkpoints.all()["parent"] == Checkpoint("0", ended=True)


def test_a_shard_that_expired_ends_with_what_was_read_of_it(
    checkpoints: Checkpoints, caplog: pytest.LogCaptureFixture
) -> None:
    function = Function()
    stream = Stream([record("1")], ShardNotFoundError("no such shard"), [])

    run(Collaborators(stream, function, checkpoints, None), window_seconds=300)

    assert len(function.events) == 1
    assert checkpoints.all() == {"shard": Checkpoint("1", ended=True)}
    assert stream.reads == [[]], "asked no more"
    assert "expired" in caplog.text


def test_a_shard_that_is_listed_but_not_found_is_asked_for_again(
    checkpoints: Checkpoints, caplog: pytest.LogCaptureFixture
) -> None:
    class StillListed(Stream):
        def shards(self) -> Sequence[ListedShard]:
            return [ListedShard("shard", frozenset(), "0")]

    stream = StillListed(ShardNotFoundError("not yet"), [record("1")])

    run(Collaborators(stream, Function(), checkpoints, None))

    assert checkpoints.all() == {"shard": Checkpoint("1", ended=True)}
    assert "expired" not in caplog.text


CREATED = 1_795_248_000


def number(position: int) -> str:
    """A number of the local endpoint; each record arrives one second after the last."""
    return str(SequenceNumber(CREATED, position, CREATED + position, 0))


def gaps(tmp_path: Path) -> Sequence[Gap]:
    (mapping,) = read_mappings(tmp_path / "checkpoints.db")
    return mapping.gaps


def shortened(gap: Gap) -> tuple[str, str, int | None]:
    return gap.after, gap.before, gap.records


def test_records_that_the_stream_removed_unread_are_a_gap(
    checkpoints: Checkpoints, tmp_path: Path
) -> None:
    checkpoints.advance("shard", number(3))
    stream = Stream([record(number(7)), record(number(8))], [record(number(12))])

    run(Collaborators(stream, Function(), checkpoints, None))

    first, second = gaps(tmp_path)
    assert shortened(first) == (number(3), number(7), 3)
    assert (first.since, first.until) == (CREATED + 3, NOW_MS / 1000)
    assert shortened(second) == (number(8), number(12), 3), "a mapping that runs meets one, too"


@pytest.mark.parametrize("start", ["TRIM_HORIZON", "LATEST"])
def test_a_shard_whose_first_records_are_gone_begins_with_a_gap(
    checkpoints: Checkpoints, tmp_path: Path, start: str
) -> None:
    stream = Stream([record(number(5))])
    stream.listed = [ListedShard("shard", frozenset(), number(0))]

    run(Collaborators(stream, Function(), checkpoints, None), starting_position=start)

    (gap,) = gaps(tmp_path)
    assert (*shortened(gap), gap.since) == ("", number(5), 4, CREATED)


def test_a_stream_that_is_read_from_its_first_record_on_has_no_gap(
    checkpoints: Checkpoints, tmp_path: Path
) -> None:
    stream = Stream([record(number(1))], [], [record(number(2)), record(number(3))])

    run(Collaborators(stream, Function(), checkpoints, None))

    assert gaps(tmp_path) == ()


def test_a_gap_is_stored_before_the_first_record_after_it_is_settled(
    checkpoints: Checkpoints, tmp_path: Path
) -> None:
    """A kill at any moment leaves the checkpoint before the gap, or the gap."""
    seen: list[Sequence[Gap]] = []

    class Looks(Function):
        def invoke(self, event: bytes, request_id: str) -> InvocationResult:
            seen.append(gaps(tmp_path))
            return super().invoke(event, request_id)

    checkpoints.advance("shard", number(3))
    run(Collaborators(Stream([record(number(7))]), Looks(), checkpoints, None))

    assert [[shortened(gap) for gap in found] for found in seen] == [[(number(3), number(7), 3)]]


def test_a_mapping_that_was_killed_after_it_stored_a_gap_stores_it_once(
    checkpoints: Checkpoints, tmp_path: Path
) -> None:
    checkpoints.advance("shard", number(3))
    broken = Function(ZeroDivisionError("killed"))
    with pytest.raises(ZeroDivisionError):
        Process(
            Settings(), PLACE, Collaborators(Stream([record(number(7))]), broken, checkpoints, None)
        ).run()
    assert checkpoints.all() == {"shard": Checkpoint(number(3), ended=False)}

    run(Collaborators(Stream([record(number(9))]), Function(), checkpoints, None))

    assert [shortened(gap) for gap in gaps(tmp_path)] == [(number(3), number(9), 5)]


def test_a_lost_position_and_an_expired_shard_are_gaps_of_unknown_size(
    checkpoints: Checkpoints, tmp_path: Path
) -> None:
    checkpoints.advance("shard", "9")
    stream = Stream(PositionLostError("trimmed"), [record("11")], ShardNotFoundError("gone"), [])

    run(Collaborators(stream, Function(), checkpoints, None), window_seconds=300)

    expired, lost = gaps(tmp_path)
    assert shortened(lost) == ("9", "11", None)
    assert lost.until == NOW_MS / 1000
    assert shortened(expired) == ("11", "", None)


def test_a_lost_position_is_stored_even_if_nothing_is_read_after_it(
    checkpoints: Checkpoints, tmp_path: Path
) -> None:
    checkpoints.advance("shard", "9")

    run(Collaborators(Stream(PositionLostError("trimmed"), []), Function(), checkpoints, None))

    assert [shortened(gap) for gap in gaps(tmp_path)] == [("9", "", None)]


def test_what_ends_while_the_mapping_stops_still_counts(checkpoints: Checkpoints) -> None:
    class StopsMeanwhile(Function):
        def invoke(self, event: bytes, request_id: str) -> InvocationResult:
            process.stop()
            return super().invoke(event, request_id)

    function = StopsMeanwhile()
    stream = Stream([record("1"), record("2")], [record("3")])
    world = Collaborators(stream, function, checkpoints, None)
    process = Process(Settings(batch_size=1), PLACE, world)

    process.run()

    assert len(function.events) == 1, "nothing new is started"
    assert checkpoints.all() == {"shard": Checkpoint("1", ended=False)}


def test_batches_of_two_lanes_run_at_the_same_time(checkpoints: Checkpoints) -> None:
    both = threading.Barrier(2)

    class Together(Function):
        def invoke(self, event: bytes, request_id: str) -> InvocationResult:
            both.wait(timeout=30)  # breaks, if the other one does not run
            return super().invoke(event, request_id)

    function = Together()
    keys = [StreamRecord(str(at), key, b"data", NOW_MS) for at, key in enumerate(["other", "one"])]

    run(Collaborators(Stream(keys), function, checkpoints, None), parallelization_factor=2)

    assert len(function.events) == 2
    assert checkpoints.all() == {"shard": Checkpoint("1", ended=True)}


@pytest.mark.parametrize("trouble", ["refuses", "does not answer"])
def test_a_lane_whose_failure_document_is_not_written_yet_holds_up_no_other(
    checkpoints: Checkpoints, trouble: str
) -> None:
    others_are_done = threading.Event()

    class DownUntilTheOthersAreDone(Destination):
        def write(self, document: FailureDocument, at: dt.datetime) -> str:
            if trouble == "does not answer":
                assert others_are_done.wait(timeout=30)
            self.troubles = 0 if others_are_done.is_set() else 1
            return super().write(document, at)

    class Picky(Function):
        def invoke(self, event: bytes, request_id: str) -> InvocationResult:
            super().invoke(event, request_id)
            (its,) = msgspec.json.decode(event)["Records"]
            if its["kinesis"]["partitionKey"] == "other":
                return Errored("ValueError", "poison")
            if its["kinesis"]["sequenceNumber"] == "3":
                others_are_done.set()
            return Returned(b"null")

    destination = DownUntilTheOthersAreDone()
    keys = ["other", "one", "one", "one"]
    stream = Stream([StreamRecord(str(at), key, b"data", NOW_MS) for at, key in enumerate(keys)])

    run(
        Collaborators(stream, Picky(), checkpoints, destination),
        parallelization_factor=2,
        batch_size=1,
        retries=0,
    )

    assert len(destination.documents) == 1
    assert checkpoints.all() == {"shard": Checkpoint("3", ended=True)}


def test_an_unexpected_error_of_a_failure_document_ends_the_mapping(
    checkpoints: Checkpoints,
) -> None:
    class Broken(Destination):
        def write(self, document: FailureDocument, at: dt.datetime) -> str:
            super().write(document, at)
            raise ValueError("a mistake of ours")

    function = Function(Errored("ValueError", "poison"))
    world = Collaborators(Stream([record("1")]), function, checkpoints, Broken())
    with pytest.raises(ValueError, match="a mistake of ours"):
        Process(Settings(retries=0), PLACE, world).run()
    assert checkpoints.all() == {}


def test_an_invocation_in_a_tumbling_window_says_which(checkpoints: Checkpoints) -> None:
    states = [Returned(b'{"state":{"count":1}}'), Returned(b'{"state":{}}')]
    function = Function(*states)

    run(Collaborators(Stream([record("1")]), function, checkpoints, None), tumbling_seconds=60)

    first, final = (msgspec.json.decode(event) for event in function.events)
    assert [len(first["Records"]), first["state"]] == [1, {}]
    assert [len(final["Records"]), final["state"]] == [0, {"count": 1}]
    assert final["isFinalInvokeForWindow"]
    assert final["shardId"] == "shard"
    assert final["eventSourceARN"] == "arn:stream"


def test_a_discarded_final_invocation_has_no_failure_document(
    checkpoints: Checkpoints, caplog: pytest.LogCaptureFixture
) -> None:
    function = Function(Returned(b'{"state":{}}'), Errored("ValueError", "final"))
    destination = Destination()
    world = Collaborators(Stream([record("1")]), function, checkpoints, destination)

    run(world, tumbling_seconds=60, retries=0)

    assert not destination.documents
    assert "discarded the final invocation of a window" in caplog.text


@pytest.mark.parametrize("said", ["TRIM_HORIZON", "LATEST", "AT_TIMESTAMP"])
def test_a_shard_without_a_checkpoint_begins_where_the_mapping_says(
    checkpoints: Checkpoints, said: str
) -> None:
    """LATEST is when the mapping was made, so that a restart or a child shard misses nothing.

    Rule: StartingPosition.
    Source: https://docs.aws.amazon.com/lambda/latest/dg/services-kinesis-parameters.html
    """
    stream = Stream([record("1")])

    world = Collaborators(stream, Function(), checkpoints, None)
    run(world, starting_position=said, starting_timestamp=1_795_248_000.0)

    assert stream.asked == [
        {
            "TRIM_HORIZON": TrimHorizon(),
            "LATEST": AtTimestamp(checkpoints.created_at()),
            "AT_TIMESTAMP": AtTimestamp(1_795_248_000.0),
        }[said]
    ]


def test_a_mapping_from_latest_misses_nothing_that_comes_before_its_first_checkpoint(
    checkpoints: Checkpoints,
) -> None:
    """However long it takes until it reads: LATEST is no place that moves meanwhile.

    Rule: StartingPosition, LATEST.
    Source: https://docs.aws.amazon.com/lambda/latest/dg/services-kinesis-parameters.html
    """
    broken, whole = Stream([record("1")]), Stream([record("1")])
    function = Function(ZeroDivisionError("before anything is settled"))
    with pytest.raises(ZeroDivisionError):
        Process(
            Settings(starting_position="LATEST"),
            PLACE,
            Collaborators(broken, function, checkpoints, None),
        ).run()

    run(Collaborators(whole, function, checkpoints, None), starting_position="LATEST")

    assert broken.asked == whole.asked == [AtTimestamp(checkpoints.created_at())]
    assert len(function.events) == 2


def test_a_mapping_that_starts_again_goes_on_behind_the_last_processed_record(
    checkpoints: Checkpoints,
) -> None:
    checkpoints.advance("shard", "1")
    stream = Stream([record("2")])

    run(Collaborators(stream, Function(), checkpoints, None), starting_position="LATEST")

    assert stream.asked == [AfterSequenceNumber("1")]


def test_an_unexpected_error_ends_the_mapping(checkpoints: Checkpoints) -> None:
    broken = Function(ZeroDivisionError("unforeseen"))
    world = Collaborators(Stream([record("1")]), broken, checkpoints, None)

    with pytest.raises(ZeroDivisionError, match="unforeseen"):
        Process(Settings(), PLACE, world).run()

    assert broken.closed
    assert checkpoints.all() == {}


class Bell:
    """Says that something arrived when the test says so, once; then it waits."""

    def __init__(self, *answers: Exception) -> None:
        self.answers = list(answers)
        self.arrived = threading.Event()

    def after(self, state: str) -> str:
        if self.answers:
            raise self.answers.pop(0)
        if state == "2":
            threading.Event().wait()
        self.arrived.wait()
        return "2"


class LiveStream(Stream):
    """A shard whose only record comes after some reads; it is closed then."""

    def __init__(self, bell: Bell, empty: int) -> None:
        super().__init__()
        self.bell, self.empty, self.count = bell, empty, 0

    def read(self, limit: int) -> Records:
        assert limit
        self.count += 1
        if self.count <= self.empty:
            if self.count == self.empty:
                self.bell.arrived.set()
            return Records([], behind=False, ended=False)
        return Records([record("1")], behind=False, ended=True)


def test_a_shard_is_read_when_its_stream_says_that_something_arrived(
    checkpoints: Checkpoints,
) -> None:
    bell = Bell()
    stream, function = LiveStream(bell, empty=1), Function()
    run(Collaborators(stream, function, checkpoints, None, announcements=bell))
    assert len(function.events) == 1
    assert stream.count == 2


def test_while_nobody_announces_a_shard_is_polled(checkpoints: Checkpoints) -> None:
    bell = Bell(*[StreamUnavailableError("down")] * 100)
    stream, function = LiveStream(bell, empty=4), Function()
    run(Collaborators(stream, function, checkpoints, None, announcements=bell))
    assert len(function.events) == 1
