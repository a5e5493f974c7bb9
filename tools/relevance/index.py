"""A separate index with the images of a collection, written as the function `write_to_es` does."""

import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from opensearchpy import OpenSearch

from functions.search_images.search import search
from functions.write_to_es.aliases import live_alias
from functions.write_to_es.index import ensure_index
from functions.write_to_es.settings import IndexSettings
from functions.write_to_es.sink import ImageIndex
from shared.change import Change, change_from
from shared.event import Event
from shared.outcome import Applied
from shared.record import Record
from tools.relevance.figures import Measured, measure
from tools.relevance.generated import Judged

# No tombstone among these changes expires.
ARRIVED_AT = 1_795_248_000_500  # 2026-11-21T08:00:00.5Z, in milliseconds since 1970


def change_for(event: Event) -> Change:
    """The change that a record with this event means."""
    record = Record(
        stream="lockstep-images",
        shard_id="shardId-000000000000",
        sequence_number="1",
        partition_key=event.image_id,
        arrived_at=ARRIVED_AT,
        data=b"",
    )
    return change_from(event, record)


def write(client: OpenSearch, alias: str, changes: Sequence[Change]) -> None:
    """Write the changes as the function `write_to_es` does.

    Raises:
        RuntimeError: a change was not applied.
    """
    sink = ImageIndex(client, alias, longest_request=60.0)
    outcomes = [outcome for request in sink.requests(changes) for outcome in sink.send(request)]
    if outcomes != [Applied()] * len(changes):
        raise RuntimeError(f"the images could not be written to {alias}")


@contextmanager
def indexed(client: OpenSearch, collection: Iterable[Event], *, shards: int = 1) -> Iterator[str]:
    """Yield the alias of an index of these images; delete the index at the end."""
    alias = f"images-{uuid.uuid4()}"
    ensure_index(client, alias, IndexSettings(shards=shards))
    write(client, alias, [change_for(event) for event in collection])
    client.indices.refresh(index=alias)
    try:
        yield alias
    finally:
        client.indices.delete(index=f"{alias}-000001")


def measured_in(
    client: OpenSearch, collection: Iterable[Event], queries: Iterable[Judged], *, shards: int = 1
) -> list[Measured]:
    """The queries with their figures, in an index of these images with this number of shards."""
    with indexed(client, collection, shards=shards) as alias:
        return measured_behind(client, alias, queries)


def measured_behind(client: OpenSearch, alias: str, queries: Iterable[Judged]) -> list[Measured]:
    """The queries with their figures, in the index with this alias."""
    live = live_alias(alias)
    return measure(queries, lambda text: [one.image_id for one in search(client, live, text).hits])
