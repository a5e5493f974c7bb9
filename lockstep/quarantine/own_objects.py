"""Gives each record its own object before it is settled: also those of failure documents.

So each record is settled separately. After an interruption, the next redrive continues with the
records that are still in quarantine, instead of putting all records of a document again.
"""

from collections import deque
from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import Executor
from itertools import batched

import msgspec

from lockstep.quarantine.bucket import consumer_of_document, is_settled
from lockstep.quarantine.cases import Case
from lockstep.quarantine.failure_documents import records_of
from lockstep.quarantine.filing import file_away
from lockstep.quarantine.notes import Notes
from lockstep.quarantine.reading import DOCUMENTS_AT_ONCE
from lockstep.stores.objects import Objects
from shared.quarantine import QuarantinedRecord


class OwnObjects:
    """Writes an object for each record of failure documents, and of what only the stream holds."""

    def __init__(
        self,
        objects: Objects,
        notes: Notes,
        table_mapping: str,
        *,
        executor: Executor,
        changes_stream: str,
    ) -> None:
        """Set up what writes the objects.

        Args:
            objects: the quarantine's bucket.
            notes: the notes of all redrives.
            table_mapping: the UUID of the event source mapping of the table's consumer.
            executor: reads and writes objects, several at the same time.
            changes_stream: the Kinesis stream that carries the table's changes; empty: none.
        """
        self._objects = objects
        self._notes = notes
        self._table_mapping = table_mapping
        self._executor = executor
        self._changes_stream = changes_stream

    def save(self, cases: Iterable[Case], fetched: Mapping[str, QuarantinedRecord]) -> None:
        """Give every record of these cases its own object.

        A failure document is split into the objects of all its records, and then moved.

        Args:
            cases: what will be settled.
            fetched: records that only the stream holds, by the key that they will have.
        """
        keys, documents = dict[str, None](), dict[str, None]()
        for case in cases:
            keys.update(dict.fromkeys(case.keys))
            documents.update(dict.fromkeys(case.documents))
        self._save_all([fetched[key] for key in keys if key in fetched])
        for some in batched(documents, DOCUMENTS_AT_ONCE):
            self._split(some)

    def records_of(self, document: str) -> list[QuarantinedRecord]:
        """The records of a failure document; none if a redrive has split it."""
        body = self._objects.read(document)
        return [] if body is None else self._records(document, body)

    def _split(self, documents: Sequence[str]) -> None:
        read = zip(documents, self._executor.map(self._objects.read, documents), strict=True)
        bodies = {document: body for document, body in read if body is not None}
        records: dict[str, QuarantinedRecord] = {}
        for document, body in bodies.items():
            for held in self._records(document, body):
                records.setdefault(held.key, held)
        self._save_all(records.values())
        moving = {document: (body, None) for document, body in bodies.items()}
        file_away(self._objects, self._executor, moving)

    def _save_all(self, records: Collection[QuarantinedRecord]) -> None:
        """Write the objects of the records that were not settled, also not meanwhile."""
        if not records:
            return
        saved = self._not_settled(records)
        deque(self._executor.map(self._save, saved), maxlen=0)
        # Another operator may have moved a record just before its object was written again.
        left = {one.key for one in self._not_settled(saved)}
        moved = [one.key for one in saved if one.key not in left]
        if moved:
            self._objects.delete_all(moved)

    def _not_settled(self, some: Collection[QuarantinedRecord]) -> list[QuarantinedRecord]:
        self._notes.refresh()
        uncertain = [one.key for one in some if self._notes.may_be_moved(one.key)]
        are_moved = zip(uncertain, self._executor.map(self._is_filed, uncertain), strict=True)
        moved = {key for key, is_moved in are_moved if is_moved}
        return [one for one in some if one.key not in moved]

    def _is_filed(self, key: str) -> bool:
        return is_settled(self._objects, key)

    def _save(self, held: QuarantinedRecord) -> None:
        self._objects.write_new(held.key, msgspec.json.encode(held))

    def _records(self, document: str, body: bytes) -> list[QuarantinedRecord]:
        consumer = consumer_of_document(document, self._table_mapping)
        return records_of(body, consumer, self._changes_stream)
