"""How the objects and failure documents of one record become one case."""

import datetime as dt
import hashlib
import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import msgspec
import pytest

from lockstep.quarantine.bucket import AT_ONCE
from lockstep.quarantine.cases import NeedsChoice, Ready, TooOld, Verdict, Waits
from lockstep.quarantine.finding import find
from lockstep.quarantine.notes import NotedEvent, NotedRecord, Notes
from shared.event import MAX_VERSION
from shared.quarantine import TABLE_CONSUMER
from tests.builders import ARRIVED_AT, image_event, kinesis_record, sequence_number
from tests.unit.quarantine.stand import CONSUMERS, DAY, NOTE, TABLE_MAPPING, Stand, document

# The key of a failure document of the table's event source mapping.
DOCUMENT = "aws/lambda/{}/shardId-000000000000/2026/11/21/2026-11-21T09.00.00-x"
EVENT = image_event("T1", 7)


def test_the_id_of_a_case_is_made_of_its_place_and_its_payload() -> None:
    stand = Stand()
    stand.set_aside(EVENT, position=3)
    payload = hashlib.sha256(msgspec.json.encode(EVENT)).hexdigest()
    place = f"lockstep-images/shardId-000000000000/{sequence_number(3)}/{payload}"
    assert stand.only().id == hashlib.sha256(place.encode()).hexdigest()[:10]


def with_document(stand: Stand, event: dict[str, object] = EVENT) -> str:
    key = DOCUMENT.format(TABLE_MAPPING)
    stand.objects.kept[key] = msgspec.json.encode(document(kinesis_record(event)))
    return key


def test_a_record_in_an_object_and_in_a_failure_document_is_one_case() -> None:
    stand = Stand()
    (key,) = stand.set_aside(EVENT, functions=[TABLE_CONSUMER])
    where = with_document(stand)
    case = stand.only()
    assert case.functions == (TABLE_CONSUMER,)
    assert case.reasons == ("refused_by_store", "given_up")
    assert (case.keys, case.documents) == ((key,), (where,))


def test_a_record_that_was_redriven_and_is_in_quarantine_again_is_still_in_its_document() -> None:
    stand = Stand()
    (key,) = stand.set_aside(EVENT, functions=[TABLE_CONSUMER])
    stand.objects.kept[key.replace("quarantine/", "redriven/")] = b"{}"
    Notes(stand.objects, stand.executor).write([NotedRecord((key,), None)])
    where = with_document(stand)
    assert stand.only().documents == (where,)
    del stand.objects.kept[key]
    assert stand.find().cases == []


def moved(stand: Stand, key: str, **fields: object) -> str:
    """Somebody has copied the object, and an earlier release has written it."""
    whole = msgspec.json.decode(stand.objects.kept[key])
    other = key.replace(".json", "x.json")
    stand.objects.kept[other] = msgspec.json.encode(whole | fields)
    return other


def test_of_two_objects_of_a_record_a_choice_and_the_first_arrival_are_kept() -> None:
    stand = Stand()
    (key,) = stand.set_aside(EVENT, functions=[TABLE_CONSUMER])
    fields = {"reason": "conflict", "detail": "taken", "arrived_at": ARRIVED_AT - 5}
    other = moved(stand, key, **fields)
    case = stand.only()
    assert case.keys == (key, other)
    assert (case.verdict, case.detail) == (NeedsChoice("taken"), "taken")
    assert case.arrived_at == ARRIVED_AT - 5


def test_a_first_arrival_that_cannot_be_read_is_reported_with_the_reason() -> None:
    stand = Stand()
    stand.set_aside(EVENT)
    stand.objects.kept[NOTE] = b"{"
    (unreadable,) = stand.find().unreadable
    assert unreadable.where == NOTE
    assert unreadable.why.startswith("not a note of a redrive: ")


def test_any_number_of_readers_finds_the_same() -> None:
    stand = Stand()
    stand.set_aside(EVENT)
    stand.set_aside(b"{", position=2)
    now = dt.datetime.fromtimestamp(stand.now, dt.UTC)
    with ThreadPoolExecutor(4) as pool:
        assert find(stand.objects, TABLE_MAPPING, now=now, executor=pool) == stand.find()


def test_a_case_has_the_size_of_its_payload_and_the_first_arrival_of_its_event() -> None:
    stand = Stand()
    stand.set_aside(EVENT)
    noted = NotedRecord((), NotedEvent("T1", 7, ARRIVED_AT - 9))
    Notes(stand.objects, stand.executor).write([noted])
    case = stand.only()
    assert case.bytes == len(msgspec.json.encode(EVENT))
    assert case.arrived_at == ARRIVED_AT - 9


def test_a_note_that_is_written_while_the_quarantine_is_read_counts() -> None:
    stand = Stand()
    keys = stand.set_aside(EVENT)
    read = stand.objects.read

    def read_later(key: str) -> bytes | None:
        if key in keys:  # another redrive has put it, and it was quarantined again just before
            noted = NotedRecord((), NotedEvent("T1", 7, ARRIVED_AT - 9))
            Notes(stand.objects, stand.executor).write([noted])
        return read(key)

    stand.objects.read = read_later  # type: ignore[method-assign]  # of this stand
    assert stand.only().arrived_at == ARRIVED_AT - 9


TEXT = " ".join(["canvas"] * 3_000)


@pytest.mark.parametrize(
    "event",
    [image_event("T1", image={"name": "x", "description": TEXT}), b"{" + TEXT.encode()],
    ids=["valid", "flawed"],
)
def test_no_payload_stays_in_memory_after_its_record_was_read(
    event: dict[str, object] | bytes,
) -> None:
    stand = Stand()
    for position in range(1, 4 * AT_ONCE + 1):
        stand.set_aside(event, functions=[TABLE_CONSUMER], position=position)
    tracemalloc.start()
    try:
        found = stand.find()
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(found.cases) == 4 * AT_ONCE
    assert {one.image_id for one in found.cases} == {None if isinstance(event, bytes) else "T1"}
    assert most < 3 * AT_ONCE * len(TEXT)


def test_a_document_that_cannot_be_read_or_is_gone_hides_no_other() -> None:
    stand = Stand()
    where = with_document(stand)
    bad, gone = f"{where[:-1]}a", f"{where[:-1]}b"
    stand.objects.kept |= {bad: b"{", gone: b""}
    read = stand.objects.read
    stand.objects.read = lambda key: None if key == gone else read(key)  # type: ignore[method-assign]  # of this stand
    found = stand.find()
    assert [one.where for one in found.unreadable] == [bad]
    assert [case.documents for case in found.cases] == [(where,)]


OLD_EVENT = image_event("T1", 1_700_000_000_000_000, occurred_at="2023-11-14T22:13:20Z")


@pytest.mark.parametrize(
    ("event", "functions", "later", "verdict"),
    [
        (
            EVENT,
            ["write_to_es"],
            0,
            Ready("only the index's consumer has quarantined it: it is tried on the index"),
        ),
        (
            EVENT,
            CONSUMERS,
            100 * DAY,
            TooOld(
                "it arrived 100 days ago, more than 90, so a tombstone that should stop it may be "
                "purged"
            ),
        ),
        (
            OLD_EVENT,
            CONSUMERS,
            0,
            TooOld(
                "its version and its time are from 2023-11-14, more than 90 days ago, so a "
                "tombstone that should stop it may be purged"
            ),
        ),
        (
            image_event("T1", MAX_VERSION),
            CONSUMERS,
            0,
            Waits(
                f"version {MAX_VERSION} is more than a day ahead, until "
                "2255-06-04T23:47:34.741000Z",
                "2255-06-04T23:47:34.741000Z",
            ),
        ),
    ],
)
def test_each_verdict_says_why(
    event: dict[str, object], functions: list[str], later: float, verdict: Verdict
) -> None:
    stand = Stand()
    stand.set_aside(event, functions=functions)
    stand.now += later
    assert stand.only().verdict == verdict


def test_a_case_whose_first_arrival_is_unknown_says_why_it_is_too_old() -> None:
    stand = Stand()
    stand.set_aside(EVENT)
    stand.objects.kept[NOTE] = b"{"
    assert stand.only().verdict == TooOld(
        "its first arrival is unknown, because a note under redriven/notes/ cannot be read, so a "
        "tombstone that should stop it may be purged"
    )
