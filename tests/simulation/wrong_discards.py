"""Seeded bugs of what a mapping gives up: its failure documents, and how they are taken apart."""

import datetime as dt
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import msgspec

from lockstep.local.mapping.core import Shard
from lockstep.local.mapping.failure import BucketDestination, DestinationError, FailureDocument
from lockstep.quarantine.cases import FoundCases, _Gathering, find
from lockstep.quarantine.redrive import Redrive
from lockstep.simulation.components import Components
from tests.simulation.rewired import rewired


class PassesOnTheUnwritten(Shard):
    def discard_failed(self, *, again: float, lane: int) -> None:
        super().discard_failed(again=again, lane=lane)
        self.discarded(lane=lane)


class TakesErrorsForDone(BucketDestination):
    def write(self, document: FailureDocument, at: dt.datetime) -> str:
        with suppress(DestinationError):
            super().write(document, at)
        return "somewhere"


class OneDocumentASecond(BucketDestination):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs | {"new_id": lambda: "id"})


class LeavesOutTheLast(BucketDestination):
    def write(self, document: FailureDocument, at: dt.datetime) -> str:
        whole = msgspec.json.decode(msgspec.json.encode(document.payload))
        payload = msgspec.Raw(msgspec.json.encode({"Records": whole["Records"][:-1]}))
        return super().write(msgspec.structs.replace(document, payload=payload), at)


def finds_no_documents(*args: Any, **kwargs: Any) -> FoundCases:
    return rewired(find, _Gathering=WithoutDocuments)(*args, **kwargs)


class WithoutDocuments(_Gathering):
    def read_documents(self, *_: Any) -> None:
        pass


class DropsTheDocumentFirst(Redrive):
    """Before its records lie alone: what breaks off in between is lost."""

    def _split(self, document: str) -> None:
        body = self._objects.read(document)
        if body is not None:
            self._objects.delete(document)
            for held in self._records(body):
                self._objects.write_new(held.key, msgspec.json.encode(held))


class TakesTheFirstOfADocument(Redrive):
    def _records(self, body: bytes) -> Any:
        return super()._records(body)[:1]


WRONG: Mapping[str, Components] = {
    "giving up: passes on what is not written": Components(shard=PassesOnTheUnwritten),
    "giving up: errors of the bucket are success": Components(destination=TakesErrorsForDone),
    "giving up: one document a second": Components(destination=OneDocumentASecond),
    "giving up: the last record is left out": Components(destination=LeavesOutTheLast),
    "redrive: finds no documents": Components(find=finds_no_documents),
    "redrive: a document goes before its records lie alone": Components(
        redrive=DropsTheDocumentFirst
    ),
    "redrive: only the first record of a document": Components(redrive=TakesTheFirstOfADocument),
}
