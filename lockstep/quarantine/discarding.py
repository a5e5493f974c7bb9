"""Discards quarantined records: an operator decides that their events are not needed.

For each record, in this order: note it, copy its objects to `discarded/` with the reason and the
person, delete them from `quarantine/`. So an object always exists. After a crash in between, the
record is still in quarantine: the operator discards it again, and the first reason stays.

Nothing is put onto the stream, and no store is written.
"""

import datetime as dt
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from itertools import batched
from typing import Any

import msgspec

from lockstep.quarantine.bucket import AT_ONCE, discarded_key
from lockstep.quarantine.cases import Case
from lockstep.quarantine.notes import NotedRecord, Notes
from lockstep.quarantine.own_objects import OwnObjects
from lockstep.quarantine.records import ForeignObjectError, read_record
from lockstep.quarantine.there import there_of
from lockstep.stores.objects import Objects
from shared.clock import Clock
from shared.quarantine import QuarantinedRecord


class DiscardTrace(msgspec.Struct, frozen=True):
    """Why and by whom a record was discarded: stored with it, under `discarded/`.

    `at` is in RFC 3339. `by` is an ARN on AWS, and the name of a user on one machine.
    """

    at: str
    reason: str
    by: str


class DiscardReport(msgspec.Struct, frozen=True):
    """What was done: records discarded, objects moved, seconds.

    `moved_meanwhile`: records that somebody else settled first. `changed_meanwhile`: records whose
    object somebody has replaced; they stay.
    """

    discarded: int
    objects: int
    moved_meanwhile: int
    changed_meanwhile: int
    seconds: float


class Discarder:
    """Moves the objects of cases to `discarded/`."""

    def __init__(
        self,
        objects: Objects,
        table_mapping: str,
        *,
        clock: Clock,
        executor: Executor,
        changes_stream: str = "",
    ) -> None:
        """Set it up.

        Args:
            objects: the quarantine's bucket.
            table_mapping: the UUID of the event source mapping of the table's consumer.
            clock: the clock.
            executor: reads and writes objects, several at the same time.
            changes_stream: the Kinesis stream that carries the table's changes, if there is one.
        """
        self._objects = objects
        self._clock = clock
        self._executor = executor
        self._notes = Notes(objects, executor)
        self._own_objects = OwnObjects(
            objects, self._notes, table_mapping, executor=executor, changes_stream=changes_stream
        )

    def discard(
        self,
        cases: Sequence[Case],
        fetched: Mapping[str, QuarantinedRecord],
        *,
        reason: str,
        by: str,
    ) -> DiscardReport:
        """Discard these cases. Once this returns, their traces are durable.

        Args:
            cases: as `find` found them.
            fetched: records that only the stream holds, by the key that they will have.
            reason: why, for people.
            by: who.
        """
        began = self._clock.elapsed()
        at = dt.datetime.fromtimestamp(self._clock.now(), dt.UTC).isoformat()
        trace = DiscardTrace(at, reason, by)
        self._own_objects.save(cases, fetched)
        done: Counter[str] = Counter()
        objects = 0
        for some in batched(cases, AT_ONCE):
            found = zip(
                some,
                self._executor.map(lambda case: there_of(self._objects, case), some),
                strict=True,
            )
            moving: dict[Case, dict[str, bytes]] = {}
            for case, there in found:
                if there is None:
                    done["moved"] += 1
                elif there[0] is None:
                    done["changed"] += 1
                else:
                    moving[case] = there[1]
            self._move(moving, trace)
            done["discarded"] += len(moving)
            objects += sum(map(len, moving.values()))
        return DiscardReport(
            discarded=done["discarded"],
            objects=objects,
            moved_meanwhile=done["moved"],
            changed_meanwhile=done["changed"],
            seconds=self._clock.elapsed() - began,
        )

    def _move(self, moving: Mapping[Case, Mapping[str, bytes]], trace: DiscardTrace) -> None:
        """Note what will be moved, copy it, and delete it when all copies are durable."""
        if not moving:
            return
        self._notes.write(NotedRecord(tuple(bodies), None) for bodies in moving.values())
        copies = [
            (case, key, body) for case, bodies in moving.items() for key, body in bodies.items()
        ]
        deque(self._executor.map(lambda one: self._copy(one, trace), copies), maxlen=0)
        self._objects.delete_all([key for _, key, _ in copies])

    def _copy(self, one: tuple[Case, str, bytes], trace: DiscardTrace) -> None:
        """Copy an object; the first reason of a record stays."""
        case, key, body = one
        whole: dict[str, Any] = msgspec.json.decode(body)
        copy = msgspec.json.encode(whole | {"discarded": trace})
        place = discarded_key(key)
        self._objects.write_new(place, copy)
        if not self._is_about(case, key, place):
            # Another payload of this position was discarded before: one of them is forged.
            self._objects.write_new(f"{place.removesuffix('.json')}-{case.id}.json", copy)

    def _is_about(self, case: Case, key: str, place: str) -> bool:
        """Whether the object under `discarded/` is that of this record."""
        body = self._objects.read(place)
        try:
            return body is not None and case.is_about(read_record(key, body))
        except ForeignObjectError:
            return False
