"""Seeded bugs: small wrong variants of parts of ours, each at a seam that the simulation offers."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, cast

import msgspec
from botocore.exceptions import ClientError, EndpointConnectionError

from functions.write_to_dynamodb.sink import ImageTable
from functions.write_to_es.sink import ImageIndex
from lockstep.local.mapping.core import Shard
from lockstep.local.mapping.response import Errored, Returned
from lockstep.producer import Clock, Producer
from lockstep.simulation.parts import (
    BUCKET,
    INDEX,
    INDEX_SECONDS,
    QUARANTINE_SECONDS,
    TABLE,
    TABLE_SECONDS,
    Parts,
)
from shared.change import Change, Remove
from shared.deliver import Delivery, deliver
from shared.event import Event, encode
from shared.outcome import Applied, Conflict, Duplicate, Failed, Outcome, Refused, Stale
from shared.quarantine import BucketQuarantine, QuarantinedRecord, QuarantineError
from shared.sink import MisconfiguredError, Sink

GUARD = '("version" < ? OR "version" IS MISSING)'


def table(made: Callable[..., Sink]) -> Parts:
    return Parts(table=lambda client: made(client, TABLE, longest_request=TABLE_SECONDS))


def index(made: Callable[..., Sink]) -> Parts:
    return Parts(index=lambda client: made(client, INDEX, longest_request=INDEX_SECONDS))


def quarantine(made: Callable[..., BucketQuarantine]) -> Parts:
    return Parts(quarantine=lambda put: made(put, BUCKET, longest_put=QUARANTINE_SECONDS))


class OtherUpdate(ImageTable):
    """The update's text, changed."""

    @staticmethod
    def changed(text: str) -> str:
        raise NotImplementedError

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._image, self._tombstone = (
            msgspec.structs.replace(one, update=self.changed(one.update))
            for one in (self._image, self._tombstone)
        )


class Unguarded(OtherUpdate):
    @staticmethod
    def changed(text: str) -> str:
        return text.replace(GUARD, GUARD.replace("<", "<>"))


class GuardLetsEqualIn(OtherUpdate):
    @staticmethod
    def changed(text: str) -> str:
        return text.replace(GUARD, GUARD.replace("<", "<="))


class GuardTurnedRound(OtherUpdate):
    @staticmethod
    def changed(text: str) -> str:
        return text.replace(GUARD, GUARD.replace("<", ">"))


class NothingIsRemoved(OtherUpdate):
    @staticmethod
    def changed(text: str) -> str:
        return re.sub(r'REMOVE "\w+"', "", text)


class DeletesItems(ImageTable):
    def send(self, changes: Sequence[Change]) -> Sequence[Outcome]:
        outcomes = super().send(changes)
        for change, outcome in zip(changes, outcomes, strict=True):
            if isinstance(change, Remove) and outcome == Applied():
                statement = f'DELETE FROM "{TABLE}" WHERE "image_id"=?'  # noqa: S608 - PartiQL for the fake
                parameters: list[Any] = [{"S": change.image_id}]
                self._client.batch_execute_statement(
                    Statements=[{"Statement": statement, "Parameters": parameters}]
                )
        return outcomes


class StatementErrorsAreOverlooked(ImageTable):
    def _read(self, answer: Any, change: Change) -> Any:
        outcome = super()._read(answer, change)
        return Applied() if isinstance(outcome, Failed) else outcome


class RefusalsAreTriedForEver(ImageTable):
    def send(self, changes: Sequence[Change]) -> Sequence[Outcome]:
        return [
            Failed(one.detail) if isinstance(one, Refused) else one for one in super().send(changes)
        ]


class ConflictsAreDuplicates(ImageTable):
    def send(self, changes: Sequence[Change]) -> Sequence[Outcome]:
        return [Duplicate() if isinstance(one, Conflict) else one for one in super().send(changes)]


class OtherBulk(ImageIndex):
    """The bulk's lines, changed."""

    @staticmethod
    def changed(target: dict[str, Any], source: dict[str, Any]) -> list[Any]:
        raise NotImplementedError

    def _bulk(self, body: bytes, count: int) -> Any:
        lines = [msgspec.json.decode(line) for line in body.splitlines()]
        operations = zip(lines[::2], lines[1::2], strict=True)
        changed = [
            part for action, source in operations for part in self.changed(action["index"], source)
        ]
        return super()._bulk(b"".join(msgspec.json.encode(one) + b"\n" for one in changed), count)


class UnguardedIndex(OtherBulk):
    @staticmethod
    def changed(target: dict[str, Any], source: dict[str, Any]) -> list[Any]:
        return [{"index": {"_id": target["_id"], "require_alias": True}}, source]


class EqualVersionsAreIndexedAgain(OtherBulk):
    @staticmethod
    def changed(target: dict[str, Any], source: dict[str, Any]) -> list[Any]:
        return [{"index": target | {"version_type": "external_gte"}}, source]


class DeletesDocuments(OtherBulk):
    @staticmethod
    def changed(target: dict[str, Any], source: dict[str, Any]) -> list[Any]:
        return [{"delete": target}] if source["deleted"] else [{"index": target}, source]


class GuardedByArrival(OtherBulk):
    @staticmethod
    def changed(target: dict[str, Any], source: dict[str, Any]) -> list[Any]:
        return [{"index": target | {"version": source["arrived_at"]}}, source]


class ItemErrorsAreOverlooked(ImageIndex):
    def _read(self, item: Any) -> Any:  # noqa: ARG002 - that is the bug
        return Applied()


class ConflictsOfVersionsAreFailures(ImageIndex):
    def _compared(self, changes: Sequence[Change]) -> Sequence[Outcome]:
        return [Failed("409")] * len(changes)


class ConflictsOfVersionsAreAllStale(ImageIndex):
    def _compared(self, changes: Sequence[Change]) -> Sequence[Outcome]:
        return [Stale()] * len(changes)


class ServerErrorsAreForGood(ImageIndex):
    def send(self, changes: Sequence[Change]) -> Sequence[Outcome]:
        return [
            Refused(one.detail) if isinstance(one, Failed) else one for one in super().send(changes)
        ]


class AcknowledgesFirst(BucketQuarantine):
    def put(self, record: QuarantinedRecord) -> None:
        try:
            super().put(record)
        except QuarantineError:
            return


class KeepsNoPayload(BucketQuarantine):
    def put(self, record: QuarantinedRecord) -> None:
        super().put(msgspec.structs.replace(record, payload=""))


class ForgetsTheFunction(BucketQuarantine):
    """Both consumers share one place: the second finds it taken."""

    def put(self, record: QuarantinedRecord) -> None:
        super().put(msgspec.structs.replace(record, function="write"))


def _number(record: Mapping[str, Any]) -> str:
    number: str = record["kinesis"]["sequenceNumber"]
    return number


def checkpoint_one_too_high(records: Sequence[Mapping[str, Any]], **kwargs: Any) -> Delivery:
    delivery = deliver(records, **kwargs)
    numbers = [*map(_number, records), None]
    if delivery.checkpoint is None:
        return delivery
    after = numbers[numbers.index(delivery.checkpoint) + 1]
    return msgspec.structs.replace(delivery, checkpoint=after)


def checkpoint_one_too_low(records: Sequence[Mapping[str, Any]], **kwargs: Any) -> Delivery:
    delivery = deliver(records, **kwargs)
    last = _number(records[-1])
    return delivery if delivery.checkpoint else msgspec.structs.replace(delivery, checkpoint=last)


def one_failure_holds_back_the_batch(
    records: Sequence[Mapping[str, Any]], **kwargs: Any
) -> Delivery:
    delivery = deliver(records, **kwargs)
    first = _number(records[0])
    return msgspec.structs.replace(delivery, checkpoint=first) if delivery.checkpoint else delivery


def fold_keeps_the_last_position(records: Sequence[Mapping[str, Any]], **kwargs: Any) -> Delivery:
    last = {record["kinesis"]["partitionKey"]: record for record in records}
    return deliver(list(last.values()), **kwargs)


def misconfiguration_is_success(records: Sequence[Mapping[str, Any]], **kwargs: Any) -> Delivery:
    try:
        return deliver(records, **kwargs)
    except MisconfiguredError:
        return Delivery(counts={}, lag_ms=None, checkpoint=None, quarantined=[], failures={})


def poison_stops_the_batch(records: Sequence[Mapping[str, Any]], **kwargs: Any) -> Delivery:
    delivery = deliver(records, **kwargs)
    bad = [one.sequence_number for one in delivery.quarantined]
    return msgspec.structs.replace(delivery, checkpoint=bad[0]) if bad else delivery


class ErrorsAreSuccess(Shard):
    def answered(self, answer: Any, **kwargs: Any) -> Any:
        done = Returned(b"") if isinstance(answer, Errored) else answer
        return super().answered(done, **kwargs)


class ReportsAreIgnored(Shard):
    def answered(self, answer: Any, **kwargs: Any) -> Any:
        done = Returned(b"") if isinstance(answer, Returned) else answer
        return super().answered(done, **kwargs)


def children_first(parents: Mapping[str, Any], *, ended: Any) -> list[str]:
    return [one for one in sorted(parents, reverse=True) if one not in ended]


class ResendsWhatFailed:
    """The loop that documentation shows: events of an image overtake each other."""

    def __init__(self, client: Any, stream: str, *, clock: Clock) -> None:
        self._client, self._stream, self._clock = client, stream, clock

    def put(self, events: Iterable[Event]) -> None:
        records = [{"PartitionKey": one.image_id, "Data": encode(one)} for one in events]
        while records:
            try:
                answer = self._client.put_records(StreamName=self._stream, Records=records)
            except (ClientError, EndpointConnectionError):
                self._clock.sleep(60.0)
                continue
            entries = answer.get("Records", [{"ErrorCode": "cut off"}] * len(records))
            told = zip(records, entries, strict=True)
            records = [one for one, entry in told if "ErrorCode" in entry]


class Trusting:
    """A lost answer was surely a yes."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def put_records(self, **request: Any) -> Any:
        try:
            return self._client.put_records(**request)
        except EndpointConnectionError:
            return {"Records": [{"SequenceNumber": "1"}] * len(request["Records"])}


def takes_lost_answers_for_a_yes(client: Any, stream: str, *, clock: Clock) -> Producer:
    return Producer(cast("Any", Trusting(client)), stream, clock=clock)


def stamps_by_the_clock_alone(unix: Callable[[], float]) -> Callable[[], int]:
    return lambda: int(unix() * 1_000_000)


WRONG: Mapping[str, Parts] = {
    "table: no guard": table(Unguarded),
    "table: <= for <": table(GuardLetsEqualIn),
    "table: > for <": table(GuardTurnedRound),
    "table: an image that comes back keeps expires_at": table(NothingIsRemoved),
    "table: hard delete": table(DeletesItems),
    "table: errors in a 200 overlooked": table(StatementErrorsAreOverlooked),
    "table: refusals tried for ever": table(RefusalsAreTriedForEver),
    "table: conflicts are duplicates": table(ConflictsAreDuplicates),
    "index: no guard": index(UnguardedIndex),
    "index: external_gte": index(EqualVersionsAreIndexedAgain),
    "index: hard delete": index(DeletesDocuments),
    "index: guard on the arrival": index(GuardedByArrival),
    "index: item errors overlooked": index(ItemErrorsAreOverlooked),
    "index: 409 as failure": index(ConflictsOfVersionsAreFailures),
    "index: 409 as success, unseen": index(ConflictsOfVersionsAreAllStale),
    "index: 5xx quarantined": index(ServerErrorsAreForGood),
    "quarantine: acknowledged before it is written": quarantine(AcknowledgesFirst),
    "quarantine: no payload": quarantine(KeepsNoPayload),
    "quarantine: one place for both": quarantine(ForgetsTheFunction),
    "delivery: checkpoint one too high": Parts(deliver=checkpoint_one_too_high),
    "delivery: checkpoint one too low": Parts(deliver=checkpoint_one_too_low),
    "delivery: one failure holds back the batch": Parts(deliver=one_failure_holds_back_the_batch),
    "delivery: fold keeps the last position": Parts(deliver=fold_keeps_the_last_position),
    "delivery: misconfiguration is success": Parts(deliver=misconfiguration_is_success),
    "delivery: poison stops the batch": Parts(deliver=poison_stops_the_batch),
    "mapping: errors are success": Parts(shard=ErrorsAreSuccess),
    "mapping: reports ignored": Parts(shard=ReportsAreIgnored),
    "mapping: children before parents": Parts(startable=children_first),
    "producer: resends what failed": Parts(producer=ResendsWhatFailed),
    "producer: stamps go back with the clock": Parts(stamp=stamps_by_the_clock_alone),
    "producer: a lost answer is a yes": Parts(producer=takes_lost_answers_for_a_yes),
}
