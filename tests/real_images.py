"""An index of the 2,000 real images. It is written once, and each test that needs it has a copy."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import batched

import msgspec
from opensearchpy import OpenSearch

from functions.write_to_es.aliases import alias_definitions
from functions.write_to_es.index import ensure_index
from functions.write_to_es.settings import IndexSettings
from functions.write_to_es.sink import ImageIndex
from shared.change import Change, change_from
from shared.outcome import Applied
from tests.builders import record
from tests.contract.sinks.suite import write
from tools.relevance.collection import events

AT_ONCE = 500
PATIENCE_SECONDS = 120.0  # a busy machine is slow, not broken


def real_changes() -> Iterator[Change]:
    """The real images, converted as `lockstep put` does it, all at version 1."""
    for event in events():
        yield change_from(msgspec.structs.replace(event, version=1), record())


class RealImages:
    """An index of the real images that stays as it is."""

    def __init__(self, client: OpenSearch, index: str) -> None:
        self._client = client
        self._index = index

    def copy_to(self, alias: str) -> None:
        """Make an index with this alias that contains the images and takes more of them.

        OpenSearch copies the files, which is faster than to index the images again.
        """
        body = {"settings": {"index.blocks.write": None}, "aliases": alias_definitions(alias)}
        self._client.indices.clone(index=self._index, target=f"{alias}-000001", body=body)


@contextmanager
def indexed(endpoint: str, shards: int) -> Iterator[RealImages]:
    client = OpenSearch([endpoint], timeout=PATIENCE_SECONDS, max_retries=0)
    alias = f"real-{uuid.uuid4()}"
    ensure_index(client, alias, IndexSettings(shards=shards))
    sink = ImageIndex(client, alias, longest_request=30.0)
    for several in batched(real_changes(), AT_ONCE):
        assert write(sink, *several) == [Applied()] * len(several)
    # OpenSearch copies only an index that nobody can write to.
    client.indices.put_settings(index=alias, body={"index.blocks.write": True})
    yield RealImages(client, f"{alias}-000001")
    client.indices.delete(index=f"{alias}-000001")
