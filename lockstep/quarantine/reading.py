"""Reads the objects of a quarantine's bucket, many at a time, whichever consumer has the bucket.

What is read at a time is bounded, so that large payloads do not fill the memory.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from itertools import batched

import msgspec

from lockstep.quarantine.bucket import AT_ONCE
from lockstep.quarantine.failure_documents import NotADocumentError
from lockstep.quarantine.records import ForeignObjectError, check_record
from lockstep.stores.objects import Objects
from shared.quarantine import FAILURE_DOCUMENTS, PREFIX, QuarantinedRecord

# A failure document has at most 6 MB, the size of an invocation.
DOCUMENTS_AT_ONCE = 16


class Unreadable(msgspec.Struct, frozen=True):
    """An object or a pointer's line that cannot be read: it is left unchanged."""

    where: str
    why: str


def read_objects(
    objects: Objects, executor: Executor, parse: Callable[[str, bytes], QuarantinedRecord]
) -> Iterator[tuple[str, QuarantinedRecord | Unreadable]]:
    """Every object that a consumer quarantined, with its key.

    Args:
        objects: the quarantine's bucket.
        executor: reads objects, several at the same time.
        parse: reads the record in an object, given its key; see `read_record`.
    """
    return _read_all(objects, executor, PREFIX, AT_ONCE, parse)


def read_documents(
    objects: Objects,
    executor: Executor,
    parse: Callable[[str, bytes], Sequence[QuarantinedRecord]],
) -> Iterator[tuple[str, Sequence[QuarantinedRecord] | Unreadable]]:
    """The records of every failure document that holds them, with the key of the document.

    Args:
        objects: the quarantine's bucket.
        executor: reads objects, several at the same time.
        parse: reads the records in a document, given its key.
    """

    def checked(key: str, body: bytes) -> Sequence[QuarantinedRecord]:
        held = parse(key, body)
        for one in held:
            check_record(one)
        return held

    return _read_all(objects, executor, FAILURE_DOCUMENTS, DOCUMENTS_AT_ONCE, checked)


def _read_all[T](
    objects: Objects,
    executor: Executor,
    prefix: str,
    at_once: int,
    parse: Callable[[str, bytes], T],
) -> Iterator[tuple[str, T | Unreadable]]:
    def read(key: str) -> T | Unreadable | None:
        body = objects.read(key)
        if body is None:  # redriven after it was listed
            return None
        try:
            return parse(key, body)
        except (ForeignObjectError, NotADocumentError) as error:
            return Unreadable(key, str(error))

    for keys in batched(objects.keys(prefix), at_once):
        for key, found in zip(keys, executor.map(read, keys), strict=True):
            if found is not None:
                yield key, found
