"""The bucket's keys: who quarantined an object, which images it is about, and how many there are.

Only the key tells who quarantined an object. Each consumer's role may write under its own prefix
only, but it may write any text there.
"""

import datetime as dt
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING

import msgspec

from lockstep.quarantine.failure_documents import NotADocumentError, records_of
from lockstep.stores.objects import BucketObjects, Objects
from shared.quarantine import (
    CONSUMERS,
    FAILURE_DOCUMENTS,
    INDEX_CONSUMER,
    PREFIX,
    TABLE_CONSUMER,
    QuarantinedRecord,
)

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

REDRIVEN = "redriven/"
# What an operator has discarded (`lockstep quarantine discard`).
DISCARDED = "discarded/"
# So many records are in memory at a time: an event has at most 400 KB.
AT_ONCE = 100
# A record can be put back until it is 90 days old. An operator needs time before that.
OLD = dt.timedelta(days=60)


def keys(client: "S3Client", bucket: str) -> Iterator[str]:
    """The key of every record in quarantine."""
    return BucketObjects(client, bucket).keys(PREFIX)


def consumer_of_object(key: str, consumers: Sequence[str] = CONSUMERS) -> str | None:
    """The consumer that wrote the object with this key; None if the key names none of these."""
    name = key.removeprefix(PREFIX).partition("/")[0]
    return name if key.startswith(PREFIX) and name in consumers else None


def consumer_of_document(key: str, table_mapping: str) -> str:
    """The consumer whose mapping wrote the failure document with this key.

    It is the table's only if the key names the mapping of the table's consumer. All other documents
    count as the index's, also those of a mapping that no longer exists.

    Args:
        key: a key under `aws/lambda/`.
        table_mapping: the UUID of the event source mapping of the table's consumer.
    """
    # With the slash: the template denies the index's role `aws/lambda/UUID/*`, and nothing else.
    of_table = bool(table_mapping) and key.startswith(f"{FAILURE_DOCUMENTS}{table_mapping}/")
    return TABLE_CONSUMER if of_table else INDEX_CONSUMER


def images(
    objects: Objects, table_mapping: str, changes_stream: str = ""
) -> Iterator[tuple[str, str]]:
    """What is quarantined: the consumer, and the image; see `records`."""
    for consumer, record in records(objects, table_mapping, changes_stream):
        yield consumer, image_of(record)


def image_of(record: QuarantinedRecord) -> str:
    """The image of a record; of one that could not be decoded: its partition key."""
    return record.image_id or record.partition_key


def records(
    objects: Objects, table_mapping: str, changes_stream: str = ""
) -> Iterator[tuple[str, QuarantinedRecord]]:
    """What is quarantined: the consumer, by the key, and the record.

    Reads quarantined records and failure documents. Leaves out objects that neither a consumer nor
    Lambda wrote.

    Args:
        objects: the bucket.
        table_mapping: the UUID of the event source mapping of the table's consumer.
        changes_stream: the Kinesis stream that carries the table's changes, if there is one.
    """
    for key in objects.keys(PREFIX):
        consumer = consumer_of_object(key)
        body = None if consumer is None else objects.read(key)
        if consumer is None or body is None:  # redriven after it was listed
            continue
        try:
            record = msgspec.json.decode(body, type=QuarantinedRecord)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            continue
        yield consumer, record
    for key in objects.keys(FAILURE_DOCUMENTS):
        consumer = consumer_of_document(key, table_mapping)
        body = objects.read(key)
        if body is None:
            continue
        try:
            held = records_of(body, consumer, changes_stream)
        except NotADocumentError:
            continue
        for record in held:
            yield consumer, record


class QuarantineCounts(msgspec.Struct, frozen=True):
    """How much is quarantined, by the keys alone.

    `objects` under `quarantine/`; a record that both consumers quarantined has two of them, and
    counts once in `records`. `discarded`: the failure documents of each consumer's mapping.
    `over_60_days`: the objects and failure documents that S3 got more than 60 days ago.
    """

    objects: int
    records: int
    discarded: Mapping[str, int]
    over_60_days: int


def count(objects: BucketObjects, table_mapping: str, now: dt.datetime) -> QuarantineCounts:
    """Count what is quarantined. Lists the bucket and reads no object."""
    quarantined = list(objects.listed(PREFIX))
    documents = list(objects.listed(FAILURE_DOCUMENTS))
    by_consumer = Counter(consumer_of_document(key, table_mapping) for key, _ in documents)
    # After the consumer's name comes the provenance of the record.
    records = {key.removeprefix(PREFIX).partition("/")[2] for key, _ in quarantined}
    return QuarantineCounts(
        objects=len(quarantined),
        records=len(records),
        discarded={name: by_consumer[name] for name in CONSUMERS},
        over_60_days=sum(now - at > OLD for _, at in chain(quarantined, documents)),
    )


def redriven_key(key: str) -> str:
    """The key to which an object moves when its records are back on the stream."""
    return REDRIVEN + key.removeprefix(PREFIX)


def discarded_key(key: str) -> str:
    """The key to which an object moves when an operator discards its record."""
    return DISCARDED + key.removeprefix(PREFIX)


def discarded_by_operators(objects: Objects, consumer: str) -> frozenset[str]:
    """The keys that the discarded records of this consumer had in the quarantine."""
    prefix = f"{DISCARDED}{consumer}/"
    return frozenset(PREFIX + key.removeprefix(DISCARDED) for key in objects.keys(prefix))


def is_settled(objects: Objects, key: str) -> bool:
    """Whether an operator has settled the record with this key: it was redriven, or discarded.

    Its object may also be in quarantine again, or still.
    """
    return any(objects.read(place(key)) is not None for place in (redriven_key, discarded_key))
