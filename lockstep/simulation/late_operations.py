"""Operations days after an event: redrives in any order, purges of expired tombstones."""

import datetime as dt
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import cached_property, partial
from typing import TYPE_CHECKING, Literal, cast

import msgspec
import opensearchpy
from botocore.exceptions import BotoCoreError, ClientError
from msgspec import Raw

from lockstep.producing.producer import PutError
from lockstep.quarantine.bucket import GIVEN_UP
from lockstep.quarantine.cases import Case, NeedsChoice, NeedsCorrection, Ready, TooOld
from lockstep.quarantine.records import payload
from lockstep.quarantine.records import read_record as record_in
from lockstep.quarantine.redrive import DirectIndexing, Redrive, RedriveReport
from lockstep.quarantine.settlement import CannotSettleError, Settlement, choose, correct
from lockstep.simulation.components import BUCKET, INDEX, STREAM, TABLE
from lockstep.simulation.fakes.dynamodb import DynamoDB
from lockstep.simulation.fakes.opensearch import OpenSearch
from lockstep.simulation.fakes.s3 import S3
from lockstep.simulation.system import System
from lockstep.simulation.violation import ViolationError
from lockstep.stores.contents import ContentReader, index_lookup, table_lookup
from lockstep.stores.corrections import Corrections
from lockstep.stores.objects import BucketObjects
from lockstep.stores.table import TableReader
from shared.clock import Clock
from shared.quarantine import PREFIX, TABLE_CONSUMER
from shared.sink import SinkError

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient
    from types_boto3_s3 import S3Client

_CORRECTION = {"type": "image.updated", "image": {"name": "mended"}}
_CHOICES: Sequence[Literal["this", "stored"]] = ("this", "stored")
LONGEST_PURGE_SECONDS = 7_200.0
# The share of expired tombstones that stay. DynamoDB may take days, and purging is optional.
STAYING_SHARE = 0.2


class LateOperations:
    """The operations of operators and stores long after an event arrived."""

    def __init__(self, system: System) -> None:
        """Operate on this system."""
        self._system = system
        self._conditions, self._time = system.conditions, system.time
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

    @cached_property
    def _table(self) -> TableReader:
        return TableReader(self._items, TABLE)

    @cached_property
    def _stores(self) -> ContentReader:
        index = OpenSearch(INDEX)
        index.documents = self._system.index.documents
        return ContentReader(
            table_lookup(self._items, TABLE, self._now),
            index_lookup(cast("opensearchpy.OpenSearch", index), INDEX, self._now),
        )

    def redrive(self) -> None:
        """Redrive some quarantined records, in any order, one at a time or together.

        By then the cause of a refusal may have ended. A failed redrive is not repeated here.
        """
        system, chance = self._system, self._conditions.chance
        if chance.random() < 0.5:  # noqa: PLR2004 - a coin
            system.stores_refuse = False
        found = self._found()
        if not found:
            return
        cases = chance.sample(found, chance.randint(1, len(found)))
        redrive = self._redriver()
        try:
            for some in self._grouped(cases):
                self._redrive(redrive, some)
        except (BotoCoreError, ClientError, PutError, SinkError):
            self._conditions.tally["redrive broken off"] += 1

    def redrive_all_discarded(self) -> None:
        """Redrive every discarded record, without faults.

        Raises:
            ViolationError: a record that can be redriven was not.
        """
        report = self._put_back(self._redriver(), self._discarded())
        self._conditions.tally["given up, and redriven"] += report.redriven
        # The index may refuse a record for good, or hold other content at its version.
        may_stay = report.kept.get("refused_by_store", 0) + report.kept.get("conflict", 0)
        left = sum(isinstance(case.verdict, Ready) for case in self._discarded())
        if left > may_stay:
            raise ViolationError("I1", "redrive left a discarded record")

    def _discarded(self) -> Sequence[Case]:
        return [case for case in self._found() if case.documents or "given_up" in case.reasons]

    def _found(self) -> Sequence[Case]:
        system = self._system
        if not any(key.startswith((PREFIX, GIVEN_UP)) for key in system.bucket.objects):
            return []
        found = system.components.find(
            self._reader,
            TABLE_CONSUMER,  # the mappings here have the names of the functions
            now=dt.datetime.fromtimestamp(self._time.now, dt.UTC),
            readers=1,
        )
        return found.cases

    def _redriver(self) -> Redrive:
        system = self._system
        return system.components.redrive(
            self._objects,
            lambda events: system.components.producer(
                system.stream, STREAM, clock=system.producers_clock()
            ).put(events),
            TABLE_CONSUMER,
            index=DirectIndexing(
                system.consumers["write_to_es"].sink,
                Corrections(cast("opensearchpy.OpenSearch", system.index), INDEX),
                self._table,
            ),
            clock=Clock(self._now, self._now, self._time.advance, self._conditions.draw),
        )

    def _redrive(self, redrive: Redrive, cases: Sequence[Case]) -> None:
        tally = self._conditions.tally
        tally["too old to be redriven"] += sum(isinstance(one.verdict, TooOld) for one in cases)
        tally["redriven days later"] += self._put_back(redrive, cases).redriven
        settlements = [settled for case in cases for settled in self._settled(case)]
        for one in settlements:
            self._note_gift(one.gives_index)
        done = redrive.settle(settlements, {}).redriven if settlements else 0
        tally["mended or chosen days later"] += done

    def _put_back(self, redrive: Redrive, cases: Sequence[Case]) -> RedriveReport:
        tried = (case.sequence_number for case in cases if case.of_index_only)
        self._system.tried_on_index.update(tried)
        return redrive.put_back(cases, {})

    def _note_gift(self, image_id: str | None) -> None:
        """Note what the index may have from now on: the table's content of this image."""
        if image_id is not None:
            held = self._system.consumers["write_to_dynamodb"].store.stored_version(image_id)
            if held is not None:
                self._system.given_index.add((image_id, held))

    def _settled(self, case: Case) -> Iterator[Settlement]:
        """The settlement of a case that cannot be redriven unchanged, by an operator; or none."""
        chance, now = self._conditions.chance, self._time.now
        body = self._payload(case)
        if body is None or chance.random() < 0.5:  # noqa: PLR2004 - a coin
            return
        try:
            match case.verdict:
                case Ready() if not case.of_index_only:
                    return
                case NeedsChoice() | Ready():
                    yield choose(chance.choice(_CHOICES), case, body, self._stores, now=now)
                case NeedsCorrection() | TooOld():
                    event = Raw(msgspec.json.encode(_CORRECTION | {"image_id": case.image}))
                    yield correct(case, body, event, self._stores, now=now)
        except CannotSettleError:
            return

    def _payload(self, case: Case) -> bytes | None:
        key = case.keys[0]
        body = self._reader.read(key)
        return None if body is None else payload(record_in(key, body))

    def _grouped(self, cases: Sequence[Case]) -> Iterator[Sequence[Case]]:
        """All cases together, or one at a time."""
        if self._conditions.chance.random() < 0.5:  # noqa: PLR2004 - a coin
            return iter([cases])
        return ([case] for case in cases)

    def purge(self) -> None:
        """Purge expired tombstones, now or within the hour, also during an invocation.

        DynamoDB purges by time to live only. The purge of the index deletes a tombstone only if no
        newer version is stored.
        """
        for image_id, item in self._system.table.items.items():
            if "expires_at" in item and int(item["expires_at"]["N"]) < self._time.now:
                self._soon(partial(self._purge_item, image_id))
        for image_id, document in self._system.index.documents.items():
            if (document.source or {}).get("expires_at", self._time.now) < self._time.now:
                self._soon(partial(self._purge_document, image_id, document.version))
        self._time.advance(0.0)

    def _soon(self, purge: partial[None]) -> None:
        chance = self._conditions.chance
        if chance.random() < STAYING_SHARE:
            return
        delay = max(0.0, chance.random() - 0.5) * LONGEST_PURGE_SECONDS
        self._time.later(delay, purge)

    def _purge_item(self, image_id: str) -> None:
        held = self._system.consumers["write_to_dynamodb"].store.stored_version(image_id)
        if not self._system.table.purge(image_id, self._time.now) or held is None:
            return
        self._conditions.hidden_effects += 1
        if held.digest is None:
            self._system.purged["write_to_dynamodb"].add((image_id, held.version))
            self._conditions.tally["expired tombstone purged from the table"] += 1

    def _purge_document(self, image_id: str, version: int) -> None:
        system = self._system
        system.purged["write_to_es"].add((image_id, version))

        def purge() -> None:
            # After an error the tombstone stays for the next purge.
            with suppress(SinkError, opensearchpy.OpenSearchException):
                system.components.purge(
                    cast("opensearchpy.OpenSearch", system.index), image_id, version
                )

        self._conditions.interleave(purge)
        if system.consumers["write_to_es"].store.stored_version(image_id) is None:
            self._conditions.tally["expired tombstone purged from the index"] += 1

    def _now(self) -> float:
        return self._time.now
