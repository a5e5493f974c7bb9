"""Measure what decoding costs, by the shape of the answer and by the client: instructions each.

    python -m benchmarks.decoding [NAME ...]

No engine runs: a client of boto3 gets whole answers as bytes, at once. What a program needs before
its first record is not counted. Valgrind counts instructions, which do not depend on other load.
"""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import batched
from typing import Any

import msgspec
from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders
from opensearchpy import Connection, OpenSearch

from benchmarks.audit import CLOCK, counted
from functions.write_to_es.document import document_from
from lockstep.audit.audit import audit
from lockstep.stack.clients import Clients
from lockstep.stack.stack import Endpoints, Stack
from lockstep.stores.image_state import Intact
from lockstep.stores.index import WHOLE_DOCUMENTS_PER_PAGE, IndexReader
from lockstep.stores.table import TableReader
from lockstep.stream.kinesis import KinesisStream
from lockstep.stream.pages import decode_kinesis, decode_table
from lockstep.stream.stream import READ_RECORDS, Stream, TrimHorizon
from lockstep.stream.table import TableStream
from shared.change import Put, change_from
from shared.item import item_from
from shared.record import Record, event_in

# Pages. The difference excludes what is needed before the first record.
COUNTED = (1, 3)
IDS = (400, 1_200)
ITEMS_PER_PAGE = 400
STAMP = 1_795_000_000_000_000
ARRIVED = 1_795_000_000_123
# As large as one of the Tate collection: 588 bytes.
IMAGE: Mapping[str, Any] = {
    "name": "St Catherine's Chapel, Dorset; Verso: Studies of Trees",
    "description": "Graphite on paper",
    "url": "http://www.tate.org.uk/art/images/work/D/D00/D00123_8.jpg",
    "width": 419,
    "height": 280,
    "tags": ["architecture", "chapel", "Dorset", "religious and ceremonial", "hill", "Abbotsbury"],
    "attributes": {
        "artist": "Joseph Mallord William Turner",
        "accession": "D00123",
        "medium": "Graphite on paper",
        "date": "1811",
        "credit": "Accepted by the nation as part of the Turner Bequest 1856",
    },
}
STACK = Stack(
    endpoints=Endpoints(*["http://127.0.0.1:1"] * 4),
    stream="images",
    table="images",
    index="images",
    bucket="images",
    region="us-east-1",
    functions={},
    state="/nonexistent",
)
TABLE_STREAM = "arn:aws:dynamodb:us-east-1:000000000000:table/images/stream/2026-11-21T07:00:00.000"
SHARD = "shardId-00000000000000000000"


PAGE = READ_RECORDS


def change(number: int) -> Put:
    """The upload of an image."""
    image_id = f"image-{number:09d}"
    told = {
        "type": "image.uploaded",
        "image_id": image_id,
        "version": STAMP + number,
        "occurred_at": "2026-11-21T08:00:00.123456Z",
        "image": IMAGE,
    }
    data = msgspec.json.encode(told)
    record = Record("images", SHARD, f"4966{number:052d}", image_id, ARRIVED, data)
    made = change_from(event_in(record), record)
    if not isinstance(made, Put):
        raise TypeError(made)
    return made


def kinesis_page() -> bytes:
    """The answer of Kinesis to GetRecords."""
    records = []
    for number in range(PAGE):
        one = change(number)
        event = {"type": one.event_type, "image_id": one.image_id, "version": one.version}
        data = msgspec.json.encode({**event, "occurred_at": one.occurred_at, "image": one.image})
        records.append(
            {
                "SequenceNumber": one.sequence_number,
                "ApproximateArrivalTimestamp": ARRIVED / 1000,
                "Data": data,
                "PartitionKey": one.image_id,
            }
        )
    page = {"Records": records, "NextShardIterator": "next", "MillisBehindLatest": 0}
    return msgspec.json.encode(page)


def changes_page() -> bytes:
    """The answer of DynamoDB to GetRecords of a table's stream: each image was changed."""
    records = []
    for number in range(PAGE):
        item = item_from(change(number))
        records.append(
            {
                "eventID": f"{number:032x}",
                "eventName": "MODIFY",
                "eventVersion": "1.1",
                "eventSource": "aws:dynamodb",
                "awsRegion": "us-east-1",
                "dynamodb": {
                    "ApproximateCreationDateTime": ARRIVED // 1000,
                    "Keys": {"image_id": item["image_id"]},
                    "NewImage": item,
                    "OldImage": item,
                    "SequenceNumber": f"{number:021d}",
                    "SizeBytes": 2_000,
                    "StreamViewType": "NEW_AND_OLD_IMAGES",
                },
            }
        )
    return msgspec.json.encode({"Records": records, "NextShardIterator": "next"})


class _Body:
    """The body of an answer that has arrived."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    def stream(self) -> list[bytes]:
        """All of it."""
        return [self._body]


def answering[C](client: C, answers: Callable[[str], bytes]) -> C:
    """The client; it sends nothing, and gets the answer of each operation at once."""

    def send(request: Any, event_name: str, **_: object) -> AWSResponse:
        raw: Any = _Body(answers(event_name.rpartition(".")[2]))
        return AWSResponse(request.url, 200, HTTPHeaders(), raw)

    events: Any = client
    events.meta.events.register("before-send", send)
    return client


def read(stream: Stream, pages: int) -> None:
    """Read this many pages of a stream."""
    reader = stream.reader(SHARD, TrimHorizon())
    for _ in range(pages):
        if len(reader.read(READ_RECORDS).records) != PAGE:
            sys.exit("a page is not complete")


def kinesis(pages: int, *, by_shape: bool = True) -> None:
    """Records of the image stream, as the event source mapping and a replay read them."""
    answers = {"GetShardIterator": b'{"ShardIterator": "first"}', "GetRecords": kinesis_page()}
    client = answering(Clients(STACK).kinesis, answers.__getitem__)
    if not by_shape:
        client.meta.events.unregister("before-parse.kinesis.GetRecords", decode_kinesis)
    read(KinesisStream(client, STACK.stream), pages)


def changes(pages: int, *, by_shape: bool = True) -> None:
    """Records of the table's stream, as the event source mapping reads them."""
    answers = {"GetShardIterator": b'{"ShardIterator": "first"}', "GetRecords": changes_page()}
    client = answering(Clients(STACK).dynamodbstreams, answers.__getitem__)
    if not by_shape:
        name = "before-parse.dynamodb-streams.GetRecords"
        client.meta.events.unregister(name, decode_table)
    read(TableStream(client, TABLE_STREAM, STACK.region), pages)


def scan_pages(ids: int) -> Iterator[bytes]:
    """The answers of DynamoDB to a scan of whole items."""
    for some in batched(range(ids), ITEMS_PER_PAGE):
        items = [item_from(change(number)) for number in some]
        page: dict[str, Any] = {"Items": items, "Count": len(items), "ScannedCount": len(items)}
        if some[-1] < ids - 1:
            page["LastEvaluatedKey"] = {"image_id": items[-1]["image_id"]}
        yield msgspec.json.encode(page)


def search_pages(ids: int) -> Iterator[str]:
    """The answers of OpenSearch to a search for whole documents; the last one is empty."""
    for some in batched(range(ids), WHOLE_DOCUMENTS_PER_PAGE):
        hits = [
            {
                "_index": "images-000001",
                "_id": one.image_id,
                "_version": one.version,
                "_score": None,
                "_source": document_from(one),
                "sort": [one.version],
            }
            for one in map(change, some)
        ]
        yield search_answer(hits, ids)
    yield search_answer([], ids)


def search_answer(hits: Sequence[Mapping[str, Any]], total: int) -> str:
    """An answer of OpenSearch with these hits."""
    shards = {"total": 1, "successful": 1, "skipped": 0, "failed": 0}
    found = {"total": {"value": total, "relation": "eq"}, "hits": hits}
    page = {"took": 1, "timed_out": False, "_shards": shards, "hits": found}
    return msgspec.json.encode(page).decode()


class Index(Connection):
    """A connection to OpenSearch that answers at once."""

    def __init__(self, pages: Iterator[str], **more: Any) -> None:
        super().__init__(**more)
        self._pages = pages

    def perform_request(  # noqa: PLR0917 - as opensearch-py has it
        self,
        method: str,
        url: str,
        params: Any = None,
        body: Any = None,
        timeout: Any = None,
        ignore: Any = (),
        headers: Any = None,
    ) -> Any:
        """See `Connection.perform_request`."""
        del params, body, timeout, ignore, headers
        if url.endswith("/_search"):
            return 200, {}, next(self._pages)
        return 200, {}, '{"pit_id": "p"}' if method == "POST" else "{}"


def table(ids: int, *, by_shape: bool, whole: bool) -> TableReader:
    """A reader of the table with these images."""
    pages = list(scan_pages(ids))
    given = iter(pages)
    stack = Clients(STACK)
    client = stack.dynamodb if by_shape else stack.new_dynamodb()
    return TableReader(answering(client, lambda _: next(given)), STACK.table, whole=whole)


def values(ids: int, *, by_shape: bool = True) -> None:
    """The pass of `lockstep audit --values`, from the answers of both stores to the result."""
    found = list(search_pages(ids))
    search = OpenSearch("http://127.0.0.1:1", connection_class=Index, pages=iter(found))
    index = IndexReader(search, STACK.index, whole=True)
    items = table(ids, by_shape=by_shape, whole=True)
    result = audit(items, index, quarantined_images=list, clock=CLOCK)
    if (result.result, result.table, result.index) != ("equal", ids, ids):
        sys.exit(f"the stores must be equal, but the audit found {result}")


def images(ids: int, *, by_shape: bool = True) -> None:
    """The images of the table, as a rebuild and an import from a table read them."""
    pages = table(ids, by_shape=by_shape, whole=False).pages(None)
    if sum(isinstance(one, Intact) for page in pages for _, one in page.images) != ids:
        sys.exit("an image is missing")


def pages_of_table(ids: int) -> None:
    """Only make the answers that `images` reads."""
    list(scan_pages(ids))


def pages_of_stores(ids: int) -> None:
    """Only make the answers that `values` reads."""
    list(search_pages(ids))
    list(scan_pages(ids))


WORK: Mapping[str, Callable[[int], None]] = {
    "kinesis": kinesis,
    "kinesis, by the client": partial(kinesis, by_shape=False),
    "table's stream": changes,
    "table's stream, by the client": partial(changes, by_shape=False),
    "audit --values": values,
    "audit --values, by the client": partial(values, by_shape=False),
    "rebuild, import": images,
    "rebuild, import, by the client": partial(images, by_shape=False),
    "pages of the table": pages_of_table,
    "pages of both stores": pages_of_stores,
}
# What makes the answers of a part, if they are not the same at any length.
MAKING = {"audit": "pages of both stores", "rebuild": "pages of the table"}


def instructions(name: str) -> float:
    """How many instructions this part takes for a record, or for an image."""
    making = MAKING.get(name.partition(" ")[0].strip(","))
    if making is None:
        return counted("benchmarks.decoding", name, *COUNTED) / PAGE
    whole, pages = (counted("benchmarks.decoding", one, *IDS) for one in (name, making))
    return whole - pages


def main() -> None:
    """Count each part, or those that are named."""
    parts = [name for name in WORK if name not in MAKING.values()]
    for name in sys.argv[1:] or parts:
        print(f"{name:<32}{instructions(name):>11,.0f} instructions each", flush=True)


if __name__ == "__main__":
    main()
