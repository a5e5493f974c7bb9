"""Reads failure documents: which records of a discarded batch they hold or point at.

https://docs.aws.amazon.com/lambda/latest/dg/kinesis-on-failure-destination.html
"""

import datetime as dt
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import msgspec
from msgspec import UNSET, Raw, UnsetType

from functions.write_to_es.table_changes import envelope_of
from lockstep.stream.stream import (
    AtTimestamp,
    Position,
    Records,
    ShardNotFoundError,
    StreamUnavailableError,
)
from shared.change import Change
from shared.envelope import IMAGE_EVENTS, Envelope
from shared.event import InvalidEventError
from shared.quarantine import INDEX_CONSUMER, QuarantinedRecord, quarantined
from shared.record import Record
from shared.rfc3339 import rfc3339
from shared.shortened import BriefError
from shared.table_stream import keys_as_text, record_of

# A message of SQS may hold one of SNS, which holds the document.
_MOST_WRAPPINGS = 3
_WRAPPINGS = ("Body", "body", "Message")
# What the detail of each record of a discarded batch says.
DISCARDED = "the event source mapping discarded its batch"
# All standard consumers of a shard share five reads a second.
PAUSE_SECONDS = 0.5
PATIENCE_READS = 20
READ_AT_ONCE = 1_000


class _RequestContext(msgspec.Struct, frozen=True, rename="camel"):
    function_arn: str
    condition: str


class _BatchInfo(msgspec.Struct, frozen=True, rename="camel"):
    shard_id: str
    start_sequence_number: str
    end_sequence_number: str
    approximate_arrival_of_first_record: dt.datetime
    approximate_arrival_of_last_record: dt.datetime
    batch_size: int
    stream_arn: str


class _Payload(msgspec.Struct, frozen=True):
    records: list[dict[str, Any]] = msgspec.field(name="Records")


class ParsedDocument(
    msgspec.Struct,
    frozen=True,
    rename={
        "request": "requestContext",
        "of_kinesis": "KinesisBatchInfo",
        "of_table": "DDBStreamBatchInfo",
    },
):
    """A failure document as Lambda wrote it. Only a document in S3 holds the records.

    The batch is `of_kinesis`, or `of_table` if it was of a table's stream.
    """

    request: _RequestContext
    timestamp: dt.datetime
    of_kinesis: _BatchInfo | UnsetType = UNSET
    of_table: _BatchInfo | UnsetType = UNSET
    payload: Raw | UnsetType = UNSET

    def function(self, consumers: Mapping[str, str]) -> str:
        """The name in the quarantine of the consumer whose batch was discarded.

        Args:
            consumers: each consumer's name in Lambda, by its name in the quarantine.
        """
        deployed = self.request.function_arn.partition(":function:")[2].partition(":")[0]
        for name, name_in_lambda in consumers.items():
            if deployed in (name, name_in_lambda):
                return name
        raise NotADocumentError(
            f"function {self.request.function_arn!r} does not belong to this stack"
        )


class NotADocumentError(BriefError):
    """These bytes are not a failure document of this stack; the message says why."""


def document_in(body: bytes) -> ParsedDocument:
    """The failure document in an S3 object, or in a message of SQS or SNS.

    Raises:
        NotADocumentError: it holds none.
    """
    return _unwrapped(body)[1]


def without_records(body: bytes, gone: Collection[int]) -> bytes | None:
    """The same failure document without some of its records; None if none is left.

    Args:
        body: a document with a payload.
        gone: the places of these records in it, counted from 0.

    Raises:
        NotADocumentError: it is not such a document.
    """
    inner, document = _unwrapped(body)
    if document.payload is UNSET:
        raise NotADocumentError("it has no payload")
    with _forgeries_told():
        payload = msgspec.json.decode(document.payload, type=str | dict[str, Any])
        text = payload.encode() if isinstance(payload, str) else document.payload
        event = msgspec.json.decode(text, type=dict[str, Any])
        left = [one for place, one in enumerate(event["Records"]) if place not in gone]
    if not left:
        return None
    # All other fields stay as Lambda wrote them.
    event["Records"] = left
    said = msgspec.json.encode(event).decode() if isinstance(payload, str) else event
    whole = msgspec.json.decode(inner, type=dict[str, Any])
    return msgspec.json.encode(whole | {"payload": said})


def _unwrapped(body: bytes) -> tuple[bytes, ParsedDocument]:
    """The document without the messages around it: its bytes, and what they say."""
    for _ in range(_MOST_WRAPPINGS):
        try:
            wrapped = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
            inner = next((wrapped[name] for name in _WRAPPINGS if name in wrapped), None)
            if inner is None:
                found = msgspec.json.decode(body, type=ParsedDocument)
                if found.of_kinesis is UNSET and found.of_table is UNSET:
                    raise NotADocumentError("not a failure document: it names no batch")
                return body, found
            body = msgspec.json.decode(inner, type=str).encode()
        except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
            raise NotADocumentError(
                f"not a failure document of a stream's event source mapping: {error}"
            ) from None
    raise NotADocumentError("not a failure document: too many nested messages")


def quarantined_records(
    document: ParsedDocument, records: Iterable[Record], envelope: Envelope, function: str
) -> list[QuarantinedRecord]:
    """Each record of a discarded batch, as the function itself would have quarantined it."""
    return [_quarantined(document, one, envelope, function) for one in records]


def _quarantined(
    document: ParsedDocument, record: Record, envelope: Envelope, function: str
) -> QuarantinedRecord:
    try:
        # No consumer sees this change: only its image and version are used.
        change = envelope.change(record)
    except InvalidEventError as invalid:
        return quarantined(
            record,
            function=function,
            change=None,
            reason=invalid.reason,
            detail=f"{invalid.detail} ({_detail(document)})",
            at=document.timestamp.isoformat(),
        )
    return given_up(document, record, function, change)


def given_up(
    document: ParsedDocument, record: Record, function: str, change: Change | None = None
) -> QuarantinedRecord:
    """A record of a discarded batch, as the function would have quarantined it."""
    held = quarantined(
        record,
        function=function,
        change=change,
        reason="refused_by_store",
        detail=_detail(document),
        at=document.timestamp.isoformat(),
    )
    return msgspec.structs.replace(held, reason="given_up")


def _detail(document: ParsedDocument) -> str:
    return f"{DISCARDED}: {document.request.condition}"


def stream_records_in(
    document: ParsedDocument, changes_stream: str = ""
) -> tuple[list[Record], Envelope]:
    """The records of a document with a payload, and the form that they are in.

    Args:
        document: the failure document.
        changes_stream: the Kinesis stream that carries the table's changes, if there is one.

    Raises:
        NotADocumentError: it has no payload, or one without records of a stream.
    """
    if document.payload is UNSET:
        raise NotADocumentError("it has no payload: use `--pointers`")
    with _forgeries_told():
        entries = _entries(document.payload)
        envelope = envelope_of(entries, changes_stream)
        return _records(entries, envelope.record), envelope


def table_records_in(document: ParsedDocument) -> list[Record]:
    """The records of a document of any table's stream; the partition key is the key as JSON.

    Raises:
        NotADocumentError: it has no payload, or one without records of a table's stream.
    """
    if document.payload is UNSET:
        raise NotADocumentError("it has no payload, only positions in the stream")
    with _forgeries_told():
        return _records(
            _entries(document.payload),
            lambda entry: record_of(entry, keys_as_text(entry["dynamodb"]["Keys"])),
        )


def _entries(payload: Raw) -> list[dict[str, Any]]:
    whole = msgspec.json.decode(payload, type=str | dict[str, Any])
    text = whole.encode() if isinstance(whole, str) else payload
    return msgspec.json.decode(text, type=_Payload).records


def _records(
    entries: Sequence[Mapping[str, Any]], read: Callable[[Mapping[str, Any]], Record]
) -> list[Record]:
    # A forged document may have fields of any type.
    return msgspec.convert([msgspec.structs.asdict(read(one)) for one in entries], list[Record])


@contextmanager
def _forgeries_told() -> Iterator[None]:
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise NotADocumentError(
            f"its payload holds something that is not a record of a stream: {error!r}"
        ) from None


def records_of(body: bytes, consumer: str, changes_stream: str = "") -> list[QuarantinedRecord]:
    """The records of a failure document with a payload, as quarantined records.

    Args:
        body: the document.
        consumer: whose mapping discarded the batch, by the key of the document: the function that
            the document names proves nothing.
        changes_stream: the Kinesis stream that carries the table's changes, if there is one.

    Raises:
        NotADocumentError: it is not a failure document of a stream.
    """
    document = document_in(body)
    return quarantined_records(document, *stream_records_in(document, changes_stream), consumer)


class Fetched(msgspec.Struct, frozen=True):
    """The records of a pointer: those that the stream still holds, and those that are gone."""

    records: Sequence[QuarantinedRecord]
    gone: "Gone | None"


class Gone(msgspec.Struct, frozen=True):
    """Records of a shard that the stream no longer holds; both ends are included.

    `records` is the number of records of the batch that were not found. Times are of arrival, in
    RFC 3339.
    """

    shard_id: str
    first_sequence_number: str
    before_sequence_number: str | None
    last_sequence_number: str
    records: int
    arrived_from: str
    arrived_to: str
    why: str

    def __str__(self) -> str:
        until = (
            f"up to {self.last_sequence_number}"
            if self.before_sequence_number is None
            else f"up to but not including {self.before_sequence_number}"
        )
        return (
            f"{self.records} records of {self.shard_id} are gone, from "
            f"{self.first_sequence_number} {until}, arrived between {self.arrived_from} and "
            f"{self.arrived_to}: {self.why}"
        )


class Reader(Protocol):
    """Reads one shard in order, as `lockstep.stream.kinesis` does."""

    def read(self, limit: int) -> Records:
        """The next records, at most `limit`, perhaps none."""
        ...


def fetch(
    line: bytes,
    consumers: Mapping[str, str],
    stream: str,
    reader: Callable[[str, Position], Reader],
    sleep: Callable[[float], None],
) -> Fetched:
    """The batch that a pointer names, as far as the stream still holds it.

    Args:
        line: the failure document, or the message of SQS or SNS around it.
        consumers: each consumer's name in Lambda, by its name in the quarantine.
        stream: the name of the stream.
        reader: makes a reader of a shard; `KinesisStream.reader`.
        sleep: waits for a number of seconds.

    Raises:
        NotADocumentError: it is not a failure document, or points at another stream.
        StreamUnavailableError: the stream does not answer.
    """
    document = document_in(line)
    function = document.function(consumers)
    if document.payload is not UNSET:
        # It holds records, and no key tells whose they are: they count as the index's. A pointer
        # may name any function: its records come from the stream.
        held = stream_records_in(document)
        return Fetched(quarantined_records(document, *held, INDEX_CONSUMER), None)
    batch = document.of_kinesis
    if batch is UNSET:
        raise NotADocumentError(
            "it points at a table's stream: only a document in S3 holds its records"
        )
    if batch.stream_arn.rpartition("/")[2] != stream:
        raise NotADocumentError(f"it points at {batch.stream_arn!r}, but this stack reads {stream}")
    try:
        first, last = int(batch.start_sequence_number), int(batch.end_sequence_number)
    except ValueError:
        raise NotADocumentError("its sequence numbers are not numbers") from None
    # Read from a time: if the records were trimmed, reading starts at the oldest record. AWS
    # documents this for times only. Start a second earlier: the document's time may be rounded.
    since = batch.approximate_arrival_of_first_record.timestamp() - 1
    found: list[Record] = []
    why = "older than the stream's retention"
    try:
        for read in _up_to(reader(batch.shard_id, AtTimestamp(since)), last, sleep):
            found += [
                Record(
                    stream=stream,
                    shard_id=batch.shard_id,
                    sequence_number=one.sequence_number,
                    partition_key=one.partition_key,
                    arrived_at=one.arrived_at,
                    data=one.data,
                )
                for one in read.records
                if first <= int(one.sequence_number) <= last
            ]
    except ShardNotFoundError:
        why = "the stream no longer has this shard"
    records = quarantined_records(document, found, IMAGE_EVENTS, function)
    if found and found[0].position == first:
        return Fetched(records, None)
    before = found[0].sequence_number if found else None
    return Fetched(records, _gone(batch, before, len(found), why))


def _up_to(shard: Reader, last: int, sleep: Callable[[float], None]) -> Iterator[Records]:
    """Reads from the reader's position up to this sequence number."""
    failures = 0
    while True:
        try:
            read = shard.read(READ_AT_ONCE)
        except ShardNotFoundError:
            raise
        except StreamUnavailableError:
            failures += 1
            if failures == PATIENCE_READS:
                raise
            sleep(PAUSE_SECONDS)
            continue
        failures = 0
        yield read
        passed = bool(read.records) and int(read.records[-1].sequence_number) >= last
        if passed or read.ended or not (read.records or read.behind):
            return


def _gone(batch: _BatchInfo, before: str | None, found: int, why: str) -> Gone:
    return Gone(
        shard_id=batch.shard_id,
        first_sequence_number=batch.start_sequence_number,
        before_sequence_number=before,
        last_sequence_number=batch.end_sequence_number,
        records=max(batch.batch_size - found, 1),
        arrived_from=rfc3339(batch.approximate_arrival_of_first_record),
        arrived_to=rfc3339(batch.approximate_arrival_of_last_record),
        why=why,
    )
