"""An exchange with each real store through a proxy, which can be had again and again."""

import re
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Literal, Protocol

import boto3
import msgspec
from botocore.config import Config
from opensearchpy import OpenSearch
from urllib3 import Timeout

from doors.encoding import encode_once
from doors.quarantine import BucketQuarantine, disable_expect_header
from functions.write_to_dynamodb.sink import ImageTable
from functions.write_to_dynamodb.table import ensure_table
from functions.write_to_es.index import ensure_index
from functions.write_to_es.sink import ImageIndex
from lockstep.local.engines.pins import EngineName
from lockstep.stores.entry import Entry
from lockstep.stores.index import IndexReader
from lockstep.stores.table import TableReader
from shared.change import Change, digest_of
from shared.outcome import Applied, Duplicate, Failed, Stale
from shared.quarantine import QuarantinedRecord, QuarantineError, quarantined
from shared.sink import RequestFailedError, Sink
from tests.builders import change, fresh_tombstone, record
from tests.toxics import Proxy, before

UPDATED = "image.updated"

type Said = Literal["done", "not done"]


class Exchange(Protocol):
    """Something that a consumer writes; each `number` is another one, of the very same size."""

    proxy: Proxy

    def had(self, number: int) -> Said:
        """Write through the proxy; `not done` when all or some of it is to be brought again.

        What is said to be done is looked up in the store. Anything said in another way than
        `shared` documents is raised.
        """
        ...

    def is_whole(self, number: int) -> bool:
        """Whether the store holds everything, and nothing else, of this one."""
        ...


class Written:
    """Changes through a sink: a new image, a deletion of one never seen, and one that is late."""

    def __init__(
        self,
        proxy: Proxy,
        through: Sink,
        direct: Sink,
        now: Callable[[Sequence[str]], Mapping[str, Entry]],
    ) -> None:
        self.proxy = proxy
        self._sink = through
        self._now = now
        assert direct.send([change("late", 2)]) == [Applied()]

    def had(self, number: int) -> Said:
        changes = self._changes(number)
        try:
            outcomes = self._sent(changes)
        except RequestFailedError:
            return "not done"
        there = self._now([one.image_id for one in changes])
        for one, outcome in zip(changes, outcomes, strict=True):
            match outcome:
                case Applied() | Duplicate():
                    assert is_in(there[one.image_id], one), (outcome, there)
                case Stale():
                    assert there[one.image_id].version > one.version, (outcome, there)
                case _:
                    assert isinstance(outcome, Failed), outcome
        return "not done" if any(isinstance(one, Failed) for one in outcomes) else "done"

    def is_whole(self, number: int) -> bool:
        new, deleted, late = self._changes(number)
        there = self._now([new.image_id, deleted.image_id, late.image_id])
        return (
            is_in(there[new.image_id], new)
            and is_in(there[deleted.image_id], deleted)
            and there[late.image_id].version > late.version
        )

    def _sent(self, changes: Sequence[Change]) -> list[Any]:
        return [one for request in self._sink.requests(changes) for one in self._sink.send(request)]

    @staticmethod
    def _changes(number: int) -> Sequence[Change]:
        return (
            change(f"new-{number:06}", 1),
            fresh_tombstone(f"deleted-{number:06}", 3),
            change("late", 1, UPDATED),
        )


def is_in(entry: Entry, one: Change) -> bool:
    return (
        entry.malformed is None
        and (entry.version, entry.checked_version) == (one.version, one.version)
        and entry.digest == digest_of(one)
        and entry.deleted == (digest_of(one) is None)
    )


class SetAside:
    """A record put into quarantine."""

    def __init__(self, proxy: Proxy, through: Any, direct: Any, bucket: str) -> None:
        self.proxy = proxy
        self._quarantine = BucketQuarantine(through.put_object, bucket, longest_put=1.0)
        self._direct = direct
        self._bucket = bucket

    def had(self, number: int) -> Said:
        try:
            self._quarantine.put(set_aside(number))
        except QuarantineError:
            return "not done"
        assert self.is_whole(number)
        return "done"

    def is_whole(self, number: int) -> bool:
        wanted = set_aside(number)
        body = self._direct.get_object(Bucket=self._bucket, Key=wanted.key)["Body"]
        with body:
            return bool(msgspec.json.decode(body.read(), type=QuarantinedRecord) == wanted)


def set_aside(number: int) -> QuarantinedRecord:
    return quarantined(
        record(b"no event", position=1_000_000 + number),
        function="write_to_es",
        change=None,
        reason="not_json",
        detail="so it is",
        at="2026-11-21T08:00:00+00:00",
    )


@contextmanager
def with_table(endpoint: str, *, patience: float) -> Iterator[Exchange]:
    """A table, as the door has it, but for the seconds after which a request is given up."""
    direct, name = _client("dynamodb", endpoint, patience=30.0), f"images-{uuid.uuid4()}"
    ensure_table(direct, name)
    with before(endpoint) as proxy:
        client = _client("dynamodb", proxy.url, patience=patience)
        encode_once(client, "BatchExecuteStatement")
        through, around = (ImageTable(one, name, longest_request=1.0) for one in (client, direct))
        yield Written(proxy, through, around, TableReader(direct, name).lookup)
        client.close()
    direct.delete_table(TableName=name)
    direct.close()


@contextmanager
def with_index(endpoint: str, *, patience: float) -> Iterator[Exchange]:
    """An index, likewise."""
    direct, alias = _search(endpoint, patience=30.0), f"images-{uuid.uuid4()}"
    ensure_index(direct, alias)
    with before(endpoint) as proxy:
        client = _search(proxy.url, patience=patience)
        through, around = (ImageIndex(one, alias, longest_request=1.0) for one in (client, direct))
        yield Written(proxy, through, around, IndexReader(direct, alias).lookup)
        client.close()
    direct.indices.delete(index=f"{alias}-0*")
    direct.close()


@contextmanager
def with_bucket(endpoint: str, *, patience: float) -> Iterator[Exchange]:
    """The quarantine, likewise."""
    direct, name = _client("s3", endpoint, patience=30.0), f"bucket-{uuid.uuid4()}"
    direct.create_bucket(Bucket=name)
    with before(endpoint) as proxy:
        client = _client("s3", proxy.url, patience=patience)
        disable_expect_header(client)
        yield SetAside(proxy, client, direct, name)
        client.close()
    direct.close()


ENGINES: Mapping[EngineName, Callable[..., AbstractContextManager[Exchange]]] = {
    "dynamodb": with_table,
    "opensearch": with_index,
    "s3": with_bucket,
}


def _client(service: Literal["dynamodb", "s3"], url: str, *, patience: float) -> Any:
    return boto3.client(
        service,
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id="local",
        aws_secret_access_key="local",
        config=Config(
            connect_timeout=patience,
            read_timeout=patience,
            retries={"total_max_attempts": 1},
            parameter_validation=service == "s3",
            s3={"addressing_style": "path"},
        ),
    )


def _search(url: str, *, patience: float) -> OpenSearch:
    timeout = Timeout(connect=patience, read=patience)
    return OpenSearch([url], timeout=timeout, max_retries=0, retry_on_status=())


def bodies(messages: bytes) -> Iterator[tuple[int, int]]:
    """Where the body of each HTTP message begins and ends."""
    start = 0
    while (head := messages.find(b"\r\n\r\n", start)) >= 0:
        length = re.search(rb"(?i)\ncontent-length: *(\d+)", messages[start : head + 2])
        start = head + 4 + (int(length[1]) if length else 0)
        yield head + 4, start
