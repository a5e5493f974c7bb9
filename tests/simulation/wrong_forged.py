"""Seeded bugs of what the role of the index's consumer may write."""

from collections.abc import Mapping, Sequence
from typing import Any, override

import msgspec

from lockstep.producing.outbox import Outgoing
from lockstep.quarantine.bucket import consumer_of_object
from lockstep.quarantine.cases import Case, Ready
from lockstep.quarantine.finding import _Gathering, find
from lockstep.quarantine.own_objects import OwnObjects
from lockstep.quarantine.records import event_bytes, event_in, read_record
from lockstep.quarantine.redrive import Redrive, RedriveReport
from lockstep.quarantine.settlement import correct
from lockstep.quarantine.there import there_of
from lockstep.simulation.components import Components
from lockstep.simulation.discards import CONSUMERS
from shared.quarantine import INDEX_CONSUMER, TABLE_CONSUMER, QuarantinedRecord
from tests.simulation.redrive_with import redrive_with
from tests.simulation.rewired import rewired


def read_as_it_says(key: str, body: bytes) -> QuarantinedRecord:
    """The content decides who quarantined it."""
    held = read_record(key, body)
    return msgspec.structs.replace(held, function=msgspec.json.decode(body)["function"])


class BelievesContents(_Gathering):
    read_objects = rewired(_Gathering.read_objects, read_record=read_as_it_says)


class MovesByContent(Redrive):
    _there = rewired(
        Redrive._there,  # noqa: SLF001
        there_of=rewired(
            there_of,
            read_record=read_as_it_says,
            consumer_of_object=lambda key: consumer_of_object(key) and TABLE_CONSUMER,
        ),
    )


def consumer_in_document(body: bytes) -> str:
    arn = msgspec.json.decode(body)["requestContext"]["functionArn"]
    return TABLE_CONSUMER if arn.endswith(f":{CONSUMERS[TABLE_CONSUMER]}") else INDEX_CONSUMER


class BelievesDocuments(_Gathering):
    @override
    def read_documents(self, table_mapping: str, changes_stream: str) -> None:
        read = rewired(
            _Gathering.read_documents,
            consumer_of_document=lambda key, _: consumer_in_document(
                self._objects.read(key) or b"{}"
            ),
        )
        read(self, table_mapping, changes_stream)


class SplitsByContent(OwnObjects):
    @override
    def _records(self, document: str, body: bytes) -> list[QuarantinedRecord]:
        consumer = consumer_in_document(body)
        return [
            msgspec.structs.replace(one, function=consumer)
            for one in super()._records(document, body)
        ]


class PutsIndexOnlyCases(Redrive):
    """What only the index's consumer has quarantined goes onto the stream, too."""

    @override
    def put_back(self, cases: Sequence[Case], *args: Any, **kwargs: Any) -> RedriveReport:
        for case in cases:
            if case.of_index_only and isinstance(case.verdict, Ready):
                held, _ = self._there(case) or (None, None)
                if held is not None:
                    self._put([Outgoing(event_in(held).image_id, event_bytes(held))])
        return super().put_back(cases, *args, **kwargs)


class TakesTheOtherPayload(Redrive):
    """An object at the same position is taken for the record, whatever its payload."""

    @override
    def _there(self, case: Case) -> Any:
        found = super()._there(case)
        if found is None or found[0] is None or case.of_index_only:
            return found
        held: QuarantinedRecord = found[0]
        bodies = found[1]
        key = msgspec.structs.replace(held, function=INDEX_CONSUMER).key
        body = self._objects.read(key)
        return (held if body is None else read_as_it_says(key, body)), bodies


WRONG: Mapping[str, Components] = {
    "redrive: the content of an object says who quarantined it": Components(
        find=rewired(find, _Gathering=BelievesContents), redrive=MovesByContent
    ),
    "redrive: a failure document says whose it is": Components(
        find=rewired(find, _Gathering=BelievesDocuments), redrive=redrive_with(SplitsByContent)
    ),
    "redrive: puts what only the index's consumer has quarantined": Components(
        redrive=PutsIndexOnlyCases
    ),
    "redrive: an object at the same position is taken for the record": Components(
        redrive=TakesTheOtherPayload
    ),
    "redrive: a correction follows a version that only the index has": Components(
        correct=rewired(correct, _check_not_ahead=lambda *_: None)
    ),
}
