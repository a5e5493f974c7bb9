"""The audit at size: ids a second, memory, and injected corruptions on a table in memory.

    python -m benchmarks.audit [ENTRIES] [IMAGES]

The version pass over entries that are made as they are read, no engine between, in a process of
its own, so that its memory is its own. For comparison, what boto3's deserialiser alone takes. Then
fakes of both stores with a tenth of the images spoilt, in nine ways: each is found, no other is,
and the repair leaves both equal. Processor time, of one core; without waiting.
"""

import multiprocessing
import resource
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import batched
from typing import Any

from boto3.dynamodb.types import TypeDeserializer

from lockstep.audit.audit import Found, Time, audit
from lockstep.audit.entry import Entry, from_document, from_item
from lockstep.audit.repair import Differing
from lockstep.simulation.fakes.opensearch import Document
from shared.change import Change
from tests.unit.audit.stand import STAMP, Stand, a_change, a_document, an_item, lying

ENTRIES = 1_000_000
IMAGES = 20_000
DIGEST = "0123456789abcdef" * 4
MEBIBYTE = 1024
TIME = Time(now=time.time, elapsed=time.monotonic, sleep=lambda _: None)


class Made:
    """A store whose pages are there already: each entry is decoded as the audit decodes it."""

    def __init__(self, count: int, *, documents: bool) -> None:
        self._count = count
        self._documents = documents

    def all(self) -> Iterator[Entry]:
        """Every entry; the index in another order than the table."""
        if self._documents:
            return map(from_document, map(self._document, range(self._count - 1, -1, -1)))
        return map(from_item, map(self._item, range(self._count)))

    def now(self, image_ids: Sequence[str]) -> Mapping[str, Entry]:
        """None is ever asked for: the stores are equal."""
        raise NotImplementedError(image_ids)

    def _item(self, number: int) -> dict[str, Any]:
        return {
            "image_id": {"S": f"image-{number * 7919 % self._count:09d}"},
            "version": {"N": str(STAMP + number * 7919 % self._count)},
            "deleted": {"BOOL": False},
            "digest": {"S": DIGEST},
            "arrived_at": {"N": "1795000000000"},
        }

    def _document(self, number: int) -> dict[str, Any]:
        image_id = f"image-{number:09d}"
        return {
            "_id": image_id,
            "_version": STAMP + number,
            "_source": {
                "image_id": image_id,
                "version": STAMP + number,
                "deleted": False,
                "digest": DIGEST,
                "arrived_at": 1_795_000_000_000,
            },
        }


def version_pass(count: int) -> None:
    """The whole pass; prints what it took."""
    table, index = Made(count, documents=False), Made(count, documents=True)
    made = _seconds(lambda: [None for n in range(count) if table._item(n) and index._document(n)])  # noqa: SLF001 - the price of making them is taken off
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    took = _seconds(lambda: _insist(audit(table, index, quarantined_images=list, time=TIME).result))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(
        f"version pass  {count:>11,} ids  {count / (took - made):>9,.0f} ids/s and core  "
        f"{peak / MEBIBYTE:6.0f} MiB (before: {before / MEBIBYTE:.0f})"
    )


def plain(count: int) -> None:
    """What it takes to deserialise the items alone as boto3 does."""
    table = Made(count, documents=False)
    deserialize = TypeDeserializer().deserialize
    items = [table._item(n) for n in range(count)]  # noqa: SLF001 - the same items
    took = _seconds(
        lambda: [{name: deserialize(value) for name, value in item.items()} for item in items]
    )
    print(f"boto3's deserialiser alone      {count / took:>9,.0f} items/s and core")


def spoil(stand: Stand, number: int, was: Change) -> str:
    """Spoil one image in the way that its number says; the kind of the difference it makes."""
    items, documents = stand.dynamodb.items, stand.opensearch.documents
    image_id, version = was.image_id, was.version
    document = documents[image_id]
    match number % 9:
        case 0:
            documents[image_id] = Document(version + 1, None, stand.at)
            return "missing_in_index"
        case 1:
            del items[image_id]
            return "missing_in_table"
        case 2:
            stand.table_sink.send([a_change(version + 5, "newer", image_id=image_id)])
            return "index_behind"
        case 3:
            stand.index_sink.send([a_change(version + 5, None, image_id=image_id)])
            return "table_behind"
        case 4:
            stand.corrections.overwrite([a_change(version, "other", image_id=image_id)])
            return "conflict"
        case 5:
            items[image_id] = an_item(a_change(version, None, image_id=image_id))
            return "deleted_in_one"
        case 6:
            documents[image_id] = a_document(was, digest=None)
            return "malformed"
        case 7:
            items[image_id] = an_item(lying(was))
            return "malformed"
        case _:
            documents[image_id] = Document(version + 1, document.source, 0.0)
            return "index_version_moved"


def corruptions(count: int) -> None:
    """Spoil a tenth of so many images; find, repair, look again."""
    stand = Stand()
    changes = [a_change(STAMP + n, f"image {n}", image_id=f"i{n}") for n in range(count)]
    for some in batched(changes, 25, strict=False):
        stand.write(*some)
    expected = {one.image_id: spoil(stand, n, one) for n, one in enumerate(changes[::10])}
    found: list[Found] = []
    audit_seconds = _seconds(lambda: found.extend(stand.audited()[1]))
    if {one.image_id: one.kind for one in found} != expected:
        sys.exit("the audit found others than those that were spoilt")
    differing = [Differing(one.image_id, one.kind) for one in found]
    repair_seconds = _seconds(lambda: stand.mend(differing))
    _insist(stand.audit().result)
    print(
        f"audit --values{count:>11,} ids  {count / audit_seconds:>9,.0f} ids/s and core  "
        f"all of {len(expected):,} found, no other"
    )
    print(
        f"repair        {len(expected):>11,} ids  {len(expected) / repair_seconds:>9,.0f} ids/s "
        "and core  then equal"
    )


def _insist(result: str) -> None:
    if result != "equal":
        sys.exit(f"the stores should be equal, the audit says {result}")


def _seconds(work: Callable[[], object]) -> float:
    """Processor seconds of this process, system time included."""
    began = time.process_time()
    work()
    return time.process_time() - began


def main() -> None:
    """Each part in a process of its own."""
    given = [int(word) for word in sys.argv[1:]]
    count, images = [*given, *(ENTRIES, IMAGES)[len(given) :]]
    context = multiprocessing.get_context("spawn")
    for target, size in (
        (version_pass, count),
        (plain, min(count, 200_000)),
        (corruptions, images),
    ):
        process = context.Process(target=target, args=(size,))
        process.start()
        process.join()
        if process.exitcode:
            sys.exit(process.exitcode)


if __name__ == "__main__":
    main()
