"""The collection in an index of its own, written as the function writes it."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager

from opensearchpy import OpenSearch

from functions.write_to_es.index import ensure_index
from functions.write_to_es.sink import ImageIndex
from shared.change import change_from
from shared.outcome import Applied
from tests.builders import HORIZON, record
from tests.contract.sinks.suite import write
from tests.relevance.collection import events


@contextmanager
def indexed(client: OpenSearch) -> Iterator[str]:
    """The alias that writes to an index of all records; the index is deleted at the end."""
    alias = f"images-{uuid.uuid4()}"
    ensure_index(client, alias)
    changes = [
        change_from(event, record({"image_id": event.image_id}), horizon=HORIZON)
        for event in events()
    ]
    sink = ImageIndex(client, alias, longest_request=30.0)
    assert write(sink, *changes) == [Applied()] * len(changes)
    client.indices.refresh(index=alias)
    try:
        yield alias
    finally:
        client.indices.delete(index=f"{alias}-000001")
