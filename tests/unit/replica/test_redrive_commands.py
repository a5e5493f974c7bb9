"""`lockstep tablestore quarantine` and `redrive`, typed: what they print, and their exit codes."""

import base64
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec
import pytest

from lockstep.commands.tablestore import quarantine as listing
from lockstep.commands.tablestore import redrive as redriving
from lockstep.local.tablestore.store import TableFile
from lockstep.stack.use_cases.replica_quarantine import ReplicaQuarantine
from lockstep.tablestore.key_states import KeyState, KeyStates
from lockstep.tablestore.quarantined_keys import KeyQuarantine, QuarantinedKey, key_id
from lockstep.tablestore.redrive import KeyRedrive
from lockstep.tablestore.repair import RowRepair
from shared.quarantine import QuarantinedRecord
from tests.builders import clock
from tests.unit.operator.command import assert_one_line, lockstep
from tests.unit.quarantine.stand import MemoryObjects
from tests.unit.replica_repair.interleaved import rows_of
from tests.unit.write_to_tablestore.replica import BY_ID, LABEL, Replica, row_record

CONSUMER = "write_to_tablestore"
STACK = ("--stack", "replica")
UNFIT = {"n": {"N": "0.1234567890123456789"}}


def id_of(key: str) -> str:
    return key_id(f'{{"id":{{"S":"{key}"}}}}')


class Items:
    """The source, in memory."""

    def __init__(self) -> None:
        self.items: dict[str, dict[str, Any]] = {}

    def put(self, key: str, **attributes: Any) -> None:
        self.items[key] = {"id": {"S": key}, **attributes}

    def lookup(self, keys: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
        return [self.items[key["id"]["S"]] for key in keys if key["id"]["S"] in self.items]


class Place:
    """A source, its replica, and the bucket of the quarantine; what the commands work on."""

    def __init__(self, replica: Replica) -> None:
        self.replica = replica
        self.source = Items()
        self.objects = MemoryObjects()

    def quarantine(self, position: int, key: str, detail: str = "refused") -> None:
        record = row_record(position, key, {"note": {"S": "of the record"}})
        held = QuarantinedRecord(
            function=CONSUMER,
            stream=f"orders/stream/{LABEL}",
            shard_id=record["eventID"],
            sequence_number=record["dynamodb"]["SequenceNumber"],
            partition_key=f'{{"id":{{"S":"{key}"}}}}',
            arrived_at=position,
            image_id=None,
            version=None,
            reason="refused_by_store",
            detail=detail,
            quarantined_at="2026-11-30T00:00:00+00:00",
            payload=base64.b64encode(msgspec.json.encode(record)).decode(),
            holds="table_change",
        )
        self.objects.write(held.key, msgspec.json.encode(held))


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    with TableFile.open(None) as store, ThreadPoolExecutor(2) as executor:
        place = Place(Replica(store))
        its_clock = clock(now=lambda: 1_800_000_000)

        class InMemory(ReplicaQuarantine):
            def __init__(self, *_: Any) -> None:
                self._objects: Any = place.objects
                self._quarantine = KeyQuarantine(self._objects, executor, CONSUMER)
                rows = rows_of(place.replica)
                self._row_repair = RowRepair(
                    place.source,
                    rows,
                    conversion=BY_ID,
                    key_types={"id": "S"},
                    label=LABEL,
                    clock=its_clock,
                )
                self._states = KeyStates(place.source, rows.read, self._row_repair, BY_ID)

            def states(self, keys: Sequence[QuarantinedKey]) -> Sequence[KeyState]:
                return self._states.of([one.item_key for one in keys])

            def redrive(self, rate: float | None) -> KeyRedrive:
                assert rate is None
                return KeyRedrive(
                    self._quarantine,
                    self._objects,
                    self._row_repair,
                    clock=its_clock,
                    executor=executor,
                )

        class ItsClients:
            clock = its_clock

        for module in (listing, redriving):
            monkeypatch.setattr(module, "replica_of", lambda *_, **__: (ItsClients, None))
            monkeypatch.setattr(module, "ReplicaQuarantine", InMemory)
        monkeypatch.setenv("AWS_REGION", "us-east-1")
        yield place


def test_the_list_has_a_row_for_each_key(place: Place) -> None:
    place.quarantine(1, "a", "the first reason")
    place.quarantine(2, "a", "another")
    place.quarantine(3, "b")
    place.objects.write("quarantine/write_to_tablestore/x.json", b"text")
    done = lockstep("tablestore", "quarantine", "list", *STACK)
    assert done.exit_code == 0
    rows = [line.split() for line in done.stdout.splitlines() if '"id"' in line]
    assert [(row[0], row[-2]) for row in rows] == [(id_of("a"), "2"), (id_of("b"), "1")]
    assert "skipped: quarantine/write_to_tablestore/x.json: not a quarantined record" in done.stderr
    assert "lockstep tablestore audit --values --repair" in done.stderr
    found = msgspec.json.decode(
        lockstep(*["tablestore", "quarantine", "list", "--json"], *STACK).stdout
    )
    assert [one["detail"] for one in found["keys"]] == ["the first reason", "refused"]
    assert len(found["unreadable"]) == 1


def test_an_empty_list_says_so(place: Place) -> None:
    words = ("tablestore", "quarantine", "list", *STACK)
    assert lockstep(*words).stderr == "in quarantine: no key\n"
    place.quarantine(1, "a")
    chosen = lockstep(*words, "--reason", "malformed")
    assert chosen.stderr == "in quarantine: no key that these options choose\n"
    assert chosen.stdout == ""


def test_a_key_is_shown_with_its_records_its_item_and_its_row(place: Place) -> None:
    place.source.put("a", note={"S": "of the item"})
    place.replica.deliver(row_record(1, "a", {"note": {"S": "of the row"}}))
    place.quarantine(2, "a")
    words = ("tablestore", "quarantine", "show", id_of("a")[:4], *STACK)
    said = lockstep(*words)
    assert said.exit_code == 0
    for part in ("of the item", "of the row", "of the record", "write the row as the source says"):
        assert part in said.stdout
    shown = msgspec.json.decode(lockstep(*words, "--json").stdout)
    assert (shown["would"], shown["item"]["note"]) == ("repair", {"S": "of the item"})
    assert shown["row"]["note"] == "of the row"
    assert "of the record" in str(base64.b64decode(shown["records"][0]["payload"]))


def test_an_item_that_cannot_become_a_row_is_shown_with_its_types(place: Place) -> None:
    place.source.put("a", **UNFIT)
    place.quarantine(1, "a")
    said = lockstep("tablestore", "quarantine", "show", id_of("a"), *STACK)
    assert '{"N":"0.1234567890123456789"}' in said.stdout
    assert "is no Integer and no Double" in said.stdout


@pytest.mark.parametrize(
    ("key", "says"),
    [("x", "no quarantined key has this ID"), ("", "must not be empty")],
)
@pytest.mark.parametrize("words", [("quarantine", "show"), ("redrive",)])
def test_an_id_of_no_key_is_one_line(
    place: Place, words: tuple[str, ...], key: str, says: str
) -> None:
    place.quarantine(1, "a")
    assert_one_line(lockstep("tablestore", *words, key, *STACK), says)


def test_without_apply_a_redrive_says_what_it_would_do_and_does_nothing(place: Place) -> None:
    place.source.put("a")
    place.source.put("b", **UNFIT)
    for at, key in enumerate("abc"):
        place.quarantine(at, key)
    before = dict(place.objects.kept)
    done = lockstep("tablestore", "redrive", *STACK)
    assert done.exit_code == 1
    assert "2 keys can be redriven; nothing is changed yet: add --apply" in done.stdout
    assert f'{id_of("b")}  {{"id":{{"S":"b"}}}}: ' in done.stderr
    assert "is no Integer and no Double" in done.stderr
    would = msgspec.json.decode(lockstep("tablestore", "redrive", "--json", *STACK).stdout)
    assert would["would"] == {"repair": 1, "refused": 1, "equal": 1}
    assert place.objects.kept == before
    assert place.replica.row("a") is None


def test_a_redrive_repairs_the_keys_and_says_what_stays(place: Place) -> None:
    place.source.put("a", note={"S": "of the item"})
    place.source.put("b", **UNFIT)
    for at, key in enumerate("abc"):
        place.quarantine(at, key)
    done = lockstep("tablestore", "redrive", "--apply", *STACK)
    assert done.exit_code == 1
    assert "1 key repaired, 1 equal already, 1 stay, 0.0 s" in done.stdout
    assert "2 objects and 0 failure documents moved to redriven/" in done.stdout
    assert "is no Integer and no Double" in done.stderr
    row = place.replica.row("a")
    assert row is not None
    assert row["note"] == "of the item"
    assert len([key for key in place.objects.kept if key.startswith("quarantine/")]) == 1
    place.source.put("b")
    done = lockstep("tablestore", "redrive", "--apply", id_of("b")[:5], *STACK)
    assert done.exit_code == 0
    assert not [key for key in place.objects.kept if key.startswith("quarantine/")]


def test_only_the_named_keys_are_redriven(place: Place) -> None:
    place.source.put("a")
    place.source.put("b")
    for at, key in enumerate("ab"):
        place.quarantine(at, key)
    done = lockstep("tablestore", "redrive", "--apply", "--json", id_of("b"), *STACK)
    assert done.exit_code == 0
    assert msgspec.json.decode(done.stdout)["report"]["repaired"] == 1
    assert (place.replica.row("a") is None, place.replica.row("b") is None) == (True, False)
