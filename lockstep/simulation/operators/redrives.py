"""Operators redrive, correct and choose quarantined records, in any order and at any time."""

import datetime as dt
from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from functools import cached_property
from typing import TYPE_CHECKING, cast

import opensearchpy
from botocore.exceptions import BotoCoreError, ClientError

from lockstep.producing.producer import PutError
from lockstep.quarantine.cases import Case, FoundCases, Ready, TooOld
from lockstep.quarantine.direct_indexing import DirectIndexing
from lockstep.quarantine.failure_documents import Fetched
from lockstep.quarantine.records import ForeignObjectError, read_record
from lockstep.quarantine.redrive import ClockBehindError, Redrive, RedriveReport
from lockstep.quarantine.settlement import Settlement
from lockstep.simulation.clock import START
from lockstep.simulation.components import (
    BUCKET,
    CHANGES_STREAM,
    INDEX,
    STREAM,
    STREAM_ARN,
    TABLE,
)
from lockstep.simulation.discards import CONSUMERS
from lockstep.simulation.fakes.dynamodb import DynamoDB
from lockstep.simulation.fakes.kinesis_reads import KinesisReads
from lockstep.simulation.fakes.opensearch import GC_DELETES_SECONDS
from lockstep.simulation.fakes.s3 import S3
from lockstep.simulation.faults import Fault
from lockstep.simulation.faulty_network import CrashedError
from lockstep.simulation.in_line import InLine
from lockstep.simulation.operators.promises import Promises
from lockstep.simulation.operators.settling import Settling
from lockstep.simulation.operators.tools import Tools
from lockstep.simulation.system import System
from lockstep.simulation.violation import ViolationError
from lockstep.stores.contents import ContentReader, index_lookup, table_lookup
from lockstep.stores.corrections import Corrections
from lockstep.stores.objects import BucketObjects
from lockstep.stores.table import TableReader
from lockstep.stream.kinesis import KinesisStream
from shared.quarantine import FAILURE_DOCUMENTS, PREFIX, TABLE_CONSUMER, QuarantinedRecord
from shared.sink import SinkError

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient
    from types_boto3_kinesis import KinesisClient
    from types_boto3_s3 import S3Client

# The requests of a redrive that are killed, at most: those of a few records.
_MOST_REQUESTS = 12
# A second operator, or a consumer, begins so soon after the first command.
_MEANWHILE_SECONDS = 0.3
_KILLED_SHARE, _MEANWHILE_SHARE = 0.4, 0.3
# How often an operator decides about a case that cannot go back unchanged.
_DECIDES_SHARE = 0.5


# A store or the stream does not answer, or the clock is behind.
_UNANSWERED = (BotoCoreError, ClientError, ClockBehindError, PutError, SinkError)


class Redrives:
    """The redrives of one system's operators."""

    def __init__(self, system: System, consume: Callable[[], None]) -> None:
        """Operate on this system; `consume` lets its consumers read for some time."""
        self._system = system
        self._consume = consume
        self._conditions, self._time = system.conditions, system.time
        self._is_running = False
        self._decides_share = _DECIDES_SHARE
        self._pointers: Sequence[bytes] = ()
        self._fetched: Mapping[str, QuarantinedRecord] = {}
        self._clock = system.producers_clock()  # the operator's, too: it may be wrong
        self._objects = BucketObjects(cast("S3Client", system.bucket), BUCKET)

    # Reads have no faults: they change nothing, and an operator repeats a failed read. Most
    # histories do not read, so the readers are created on demand.
    @cached_property
    def _reader(self) -> BucketObjects:
        bucket = S3(BUCKET)
        bucket.objects = self._system.bucket.objects
        return BucketObjects(cast("S3Client", bucket), BUCKET)

    @cached_property
    def _items(self) -> "DynamoDBClient":
        table = DynamoDB(TABLE)
        table.items = self._system.table.items
        return cast("DynamoDBClient", table)

    # O1 and O2 hold around each redrive. It writes over the clients of the consumers, so these
    # tools write nothing, and the table changes through the stream only. O4 cannot be counted by
    # the writes of these tools: see `_check_done`. Two redrives at once may put an event twice, as
    # a killed one may; both stores take one of them. O5 holds as for the consumers: I2 to I4 are
    # checked for each write in the journals, and `settling.py` checks each decision before that.
    @cached_property
    def _stream(self) -> KinesisStream:
        reads = KinesisReads(self._system.stream, STREAM_ARN, created_at=START)
        return KinesisStream(cast("KinesisClient", reads), STREAM)

    @cached_property
    def _promises(self) -> Promises:
        return Promises(Tools(self._system))

    @cached_property
    def _settling(self) -> Settling:
        index = self._system.index.beside()
        stores = ContentReader(
            table_lookup(self._items, TABLE, self._clock.now),
            index_lookup(cast("opensearchpy.OpenSearch", index), INDEX, self._clock.now),
        )
        return Settling(self._system, stores, self._clock.now)

    def redrive(self) -> None:
        """Redrive some quarantined records, in any order, one at a time or together.

        By then the cause of a refusal may have ended. The process may be killed at any request;
        then the operator begins again. A second operator may do the same at once.
        """
        chance = self._conditions.chance
        if chance.random() < 0.5:  # noqa: PLR2004 - a coin
            self._system.accept_all()
        found = self.found()
        if not found:
            return
        self._run(chance.sample(found, chance.randint(1, len(found))), found)

    def choose(self, image_id: str) -> None:
        """Decide about what is in quarantine of this image, as `redrive` does."""
        found = self.found()
        self._decides_share = 1.0
        self._run([one for one in found if one.image == image_id], found)
        self._decides_share = _DECIDES_SHARE

    def redrive_pointers(self, pointers: Sequence[bytes]) -> FoundCases:
        """Redrive what these failure documents point at, as with `--pointers`.

        Returns:
            What was found first.
        """
        self._pointers = pointers
        first = self._find()
        if first.cases:
            self._run(first.cases, first.cases)
        self._pointers, self._fetched = (), {}
        return first

    def _run(self, cases: Sequence[Case], found: Sequence[Case]) -> None:
        """Redrive these of the cases found; a kill ends the first run, and the next takes all."""
        chance = self._conditions.chance
        others = {one.id for one in found} - {one.id for one in cases}
        with self._promises.kept("O1", "O2"):
            self._is_running = True
            if chance.random() < _MEANWHILE_SHARE:
                self._also(cases)
            if chance.random() < _KILLED_SHARE:
                self._conditions.kill_in = chance.randint(1, _MOST_REQUESTS)
                self._try(cases)
                self._conditions.kill_in = None
                cases, others = self.found(), set()
            done = self._try(cases)
            self._is_running = False
        if done and not self._conditions.fault_rate:
            self._check_done(cases, others)

    def _also(self, cases: Sequence[Case]) -> None:
        """In the middle of it, another operator redrives the same, or the consumers read."""
        other: Callable[[], None] = self._consume
        if self._conditions.chance.random() < 0.5:  # noqa: PLR2004 - a coin

            def other() -> None:
                self._conditions.tally["two redrives at once"] += 1
                self._try(cases)

        def begin() -> None:
            if self._is_running:
                self._conditions.interleave(other)

        self._time.later(self._conditions.chance.random() * _MEANWHILE_SECONDS, begin)

    def _try(self, cases: Sequence[Case]) -> bool:
        """Redrive these cases; return whether neither an error nor a kill ended it."""
        tally = self._conditions.tally
        redrive = self._redriver()
        try:
            for some in self._grouped(cases):
                self._redrive(redrive, some)
        except _UNANSWERED:
            tally["redrive broken off"] += 1
        except CrashedError:
            tally["redrive killed"] += 1
        else:
            return True
        return False

    def _check_done(self, cases: Sequence[Case], others: AbstractSet[str]) -> None:
        """O4, O6: the same again at once puts nothing, and no record is left that may go back.

        An operator who has an old list does the same again. Only what was quarantined again
        meanwhile may be put once more. `others`: the cases that the operator did not choose.
        Somebody may have forged one at the position of a chosen one.
        """
        system = self._system
        there = [one for one in cases if any(key in system.bucket.objects for key in one.keys)]
        before, indexed = len(system.stream.accepted), len(system.index.journal)
        try:
            kept = self._redriver().put_back(cases, self._fetched).kept
        except _UNANSWERED:
            return
        if len(system.stream.accepted) > before + len(there):
            raise ViolationError("O4", "the same redrive at once puts events again")
        if len(system.index.journal) > indexed + len(there):
            raise ViolationError("O4", "the same redrive at once writes to the index again")
        # By key: meanwhile the other consumer may have quarantined the same record. At the key of a
        # pointer's record, a forged object stays: it is a case once nobody gives that pointer.
        keys = {key for one in cases for key in one.keys}
        keys -= system.forged & self._fetched.keys()
        left = [
            one.id
            for one in self.found()
            if isinstance(one.verdict, Ready)
            and not keys.isdisjoint(one.keys)
            and one.id not in others
        ]
        if len(left) > sum(kept.values()):
            raise ViolationError("O6", f"a redrive left {left}, which can be redriven")

    def redrive_all_discarded(self) -> None:
        """Redrive every discarded record, without faults.

        Raises:
            ViolationError: a record that can be redriven was not.
        """
        with self._promises.kept("O1", "O2"):
            report = self._put_back(self._redriver(), self._discarded())
            self._conditions.tally["given up, and redriven"] += report.redriven
            if report.kept.get("not_for_now"):
                # OpenSearch keeps the version of a purged tombstone for a minute.
                self._time.advance(2 * GC_DELETES_SECONDS)
                report = self._put_back(self._redriver(), self._discarded())
        # The index may refuse a record for good, or hold other content at its version.
        may_stay = report.kept.get("refused_by_store", 0) + report.kept.get("conflict", 0)
        # An entry that was changed by hand may be in conflict with it.
        touched = self._system.touched["write_to_es"]
        left = sum(
            isinstance(case.verdict, Ready) and case.image not in touched
            for case in self._discarded()
        )
        if left > may_stay:
            raise ViolationError("I1", "redrive left a discarded record")

    def _discarded(self) -> Sequence[Case]:
        return [case for case in self.found() if case.documents or "given_up" in case.reasons]

    def found(self) -> Sequence[Case]:
        """All cases in quarantine, and what the pointers of this redrive point at."""
        objects = self._system.bucket.objects
        if not self._pointers and not any(map(_is_quarantined, objects)):
            return []
        return self._find().cases

    def fetched(self) -> Mapping[str, QuarantinedRecord]:
        """The records of the last `found` that only the stream holds."""
        return self._fetched

    def _find(self) -> FoundCases:
        system = self._system
        found = system.components.find(
            self._reader,
            TABLE_CONSUMER,  # the mappings here have the names of the functions
            now=dt.datetime.fromtimestamp(self._clock.now(), dt.UTC),
            executor=InLine(),
            pointers=self._pointers,
            fetch=self._fetch,
            changes_stream=CHANGES_STREAM,
        )
        self._fetched = found.fetched
        return found

    def _fetch(self, pointer: bytes) -> Fetched:
        return self._system.components.fetch(
            pointer, CONSUMERS, STREAM, self._stream.reader, self._time.advance
        )

    def _redriver(self) -> Redrive:
        system = self._system
        return system.components.redrive(
            self._objects,
            lambda events, clock: system.components.producer(
                system.stream, STREAM, clock=clock
            ).put(events),
            TABLE_CONSUMER,
            index=DirectIndexing(
                system.consumers["write_to_es"].sink,
                Corrections(cast("opensearchpy.OpenSearch", system.index), INDEX),
                TableReader(self._items, TABLE),
            ),
            clock=self._clock,
            executor=InLine(),
            changes_stream=CHANGES_STREAM,
        )

    def _redrive(self, redrive: Redrive, cases: Sequence[Case]) -> None:
        tally = self._conditions.tally
        tally["too old to be redriven"] += sum(isinstance(one.verdict, TooOld) for one in cases)
        tally["redriven days later"] += self._put_back(redrive, cases).redriven
        settlements = [one for case in cases for one in self._settled(redrive, case)]
        for one in settlements:
            self._note_gift(one.gives_index)
        done = redrive.settle(settlements, self._fetched).redriven if settlements else 0
        if done:
            for one in settlements:
                how: Fault = "corrected days later" if one.how == "mended" else "chosen days later"
                tally[how] += 1

    def _settled(self, redrive: Redrive, case: Case) -> Iterator[Settlement]:
        """The decision of an operator about a case that cannot be redriven unchanged; or none."""
        wanted = case.of_index_only or not isinstance(case.verdict, Ready)
        if not wanted or self._conditions.chance.random() < 1.0 - self._decides_share:
            return
        record = self._record(redrive, case)
        settled = None if record is None else self._settling.settle(case, record)
        if settled is not None:
            yield settled

    def _record(self, redrive: Redrive, case: Case) -> QuarantinedRecord | None:
        """The record of a case; None if another redrive has settled it."""
        for key in case.keys:
            if key in self._fetched:
                return self._fetched[key]
            body = self._reader.read(key)
            try:
                held = None if body is None else read_record(key, body)
            except ForeignObjectError:
                return None  # forged: the command says so
            if held is not None and case.is_about(held):
                return held
        for document in case.documents:
            if self._reader.read(document) is not None:
                return next(filter(case.is_about, redrive.records_of(document)), None)
        return None

    def _put_back(self, redrive: Redrive, cases: Sequence[Case]) -> RedriveReport:
        tried = (case.sequence_number for case in cases if case.of_index_only)
        self._system.tried_on_index.update(tried)
        try:
            return redrive.put_back(cases, self._fetched)
        finally:
            self._touch_forged(cases)

    def _touch_forged(self, cases: Sequence[Case]) -> None:
        """The index may have a forged version from now on: I2 to I4 begin again there."""
        system = self._system
        for case in cases:
            if not system.forged.isdisjoint(case.keys):
                system.touched["write_to_es"][case.image] = len(system.index.journal)

    def _note_gift(self, image_id: str | None) -> None:
        """Note what the index may have from now on: the table's content of this image."""
        if image_id is not None:
            held = self._system.consumers["write_to_dynamodb"].store.stored_version(image_id)
            if held is not None:
                self._system.given_index.add((image_id, held))

    def _grouped(self, cases: Sequence[Case]) -> Iterator[Sequence[Case]]:
        """All cases together, or one at a time."""
        if self._conditions.chance.random() < 0.5:  # noqa: PLR2004 - a coin
            return iter([cases])
        return ([case] for case in cases)


def _is_quarantined(key: str) -> bool:
    return key.startswith((PREFIX, FAILURE_DOCUMENTS))
