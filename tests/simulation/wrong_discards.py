"""Seeded bugs of discards: failure documents, and how redrive reads them."""

import datetime as dt
import itertools
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, override

import msgspec

from lockstep.local.mapping.core import Shard
from lockstep.local.mapping.failure import BucketDestination, DestinationError, FailureDocument
from lockstep.quarantine.bucket import redriven_key
from lockstep.quarantine.finding import _Gathering, find
from lockstep.quarantine.own_objects import OwnObjects
from lockstep.simulation.components import Components
from tests.simulation.redrive_with import redrive_with
from tests.simulation.rewired import rewired


class DiscardsWithoutDocument(Shard):
    @override
    def discard_failed(self, *, again: float, lane: int) -> None:
        super().discard_failed(again=again, lane=lane)
        self.discarded(lane=lane)


class IgnoresErrors(BucketDestination):
    @override
    def write(self, document: FailureDocument, at: dt.datetime) -> str:
        with suppress(DestinationError):
            super().write(document, at)
        return "somewhere"


class OneDocumentPerSecond(BucketDestination):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs | {"new_id": lambda: "id"})


class LeavesOutTheLast(BucketDestination):
    @override
    def write(self, document: FailureDocument, at: dt.datetime) -> str:
        whole = msgspec.json.decode(msgspec.json.encode(document.payload))
        payload = msgspec.Raw(msgspec.json.encode({"Records": whole["Records"][:-1]}))
        return super().write(msgspec.structs.replace(document, payload=payload), at)


class WithoutDocuments(_Gathering):
    @override
    def read_documents(self, *_: Any) -> None:
        pass


class DeletesTheDocumentFirst(OwnObjects):
    """Before its records are written one by one: an error in between loses them."""

    @override
    def _split(self, documents: Sequence[str]) -> None:
        for document in documents:
            body = self._objects.read(document)
            if body is not None:
                self._objects.delete(document)
                for held in self._records(document, body):
                    self._save(held)


class TakesOnlyTheFirstRecord(OwnObjects):
    @override
    def _records(self, document: str, body: bytes) -> Any:
        return super()._records(document, body)[:1]


class CountsAsTakenApart(OwnObjects):
    """One object of a document's records says that all were written before."""

    @override
    def _split(self, documents: Sequence[str]) -> None:
        for document in documents:
            body = self._objects.read(document)
            if body is None:
                continue
            if all(self._objects.read(one.key) is None for one in self._records(document, body)):
                super()._split([document])
                continue
            self._objects.write(redriven_key(document), body)
            self._objects.delete(document)


class EndsAtTheFirstThatWentBack(OwnObjects):
    """Taking a document apart ends at the first record that went back before."""

    @override
    def _records(self, document: str, body: bytes) -> Any:
        records = super()._records(document, body)
        went_back = (self._objects.read(redriven_key(one.key)) is not None for one in records)
        return list(itertools.takewhile(lambda _: not next(went_back), records))


class KeepsAHundred(BucketDestination):
    @override
    def write(self, document: FailureDocument, at: dt.datetime) -> str:
        whole = msgspec.json.decode(msgspec.json.encode(document.payload))
        payload = msgspec.Raw(msgspec.json.encode({"Records": whole["Records"][:100]}))
        return super().write(msgspec.structs.replace(document, payload=payload), at)


WRONG: Mapping[str, Components] = {
    "discard: without a failure document": Components(shard=DiscardsWithoutDocument),
    "discard: errors of the bucket count as success": Components(destination=IgnoresErrors),
    "discard: one document per second": Components(destination=OneDocumentPerSecond),
    "discard: the last record is not in the document": Components(destination=LeavesOutTheLast),
    "redrive: finds no failure documents": Components(
        find=rewired(find, _Gathering=WithoutDocuments)
    ),
    "redrive: deletes a document before its records are written": Components(
        redrive=redrive_with(DeletesTheDocumentFirst)
    ),
    "redrive: a document counts as taken apart when one object is written": Components(
        redrive=redrive_with(CountsAsTakenApart)
    ),
    "redrive: a document is taken apart up to the first record that went back": Components(
        redrive=redrive_with(EndsAtTheFirstThatWentBack)
    ),
    "discard: a document keeps 100 records at most": Components(destination=KeepsAHundred),
    "redrive: takes only the first record of a document": Components(
        redrive=redrive_with(TakesOnlyTheFirstRecord)
    ),
}
