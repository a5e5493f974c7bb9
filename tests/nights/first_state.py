"""What both stores of a stack held at first, so that the stack can serve another night."""

from collections.abc import Mapping
from functools import cached_property
from itertools import batched
from typing import Any

from opensearchpy import OpenSearch

from functions.write_to_es.aliases import alias_definitions
from lockstep.audit.acknowledgements import ACKNOWLEDGED
from lockstep.stack.clients import Clients
from shared.item import KEY

WRITES = 25  # in a request to the table
KEPT = "first-state"  # an index with the first documents
PATIENCE_SECONDS = 120  # a busy machine is slow, not broken


type Items = Mapping[str, Any]


class PatientClients(Clients):
    """The clients of a stack, for who changes its index by hand."""

    @cached_property
    def opensearch(self) -> OpenSearch:
        """A client that waits for long: the first request to a new index is slow."""
        return OpenSearch([self.stack.endpoints.opensearch], timeout=PATIENCE_SECONDS)


def items_now(clients: Clients) -> Items:
    """What the table holds, by the ID of the image."""
    pages = clients.dynamodb.get_paginator("scan").paginate(
        TableName=clients.stack.table, ConsistentRead=True
    )
    return {item[KEY]["S"]: item for page in pages for item in page["Items"]}


def restore_items(clients: Clients, items: Items) -> None:
    """Make the table hold exactly these items. Only what differs is written."""
    now = items_now(clients)
    requests: list[Any] = [
        {"DeleteRequest": {"Key": {KEY: item[KEY]}}}
        for image_id, item in now.items()
        if image_id not in items
    ]
    requests += [
        {"PutRequest": {"Item": item}}
        for image_id, item in items.items()
        if now.get(image_id) != item
    ]
    for some in batched(requests, WRITES):
        clients.dynamodb.batch_write_item(RequestItems={clients.stack.table: list(some)})


class FirstState:
    """The items and documents of a stack, and a bucket without quarantined records."""

    def __init__(self, clients: Clients) -> None:
        self._clients = clients
        self._stack = clients.stack
        self._items = items_now(clients)
        client, alias = clients.opensearch, self._stack.index
        (index,) = client.indices.get_alias(name=alias)
        client.indices.refresh(index=index)
        found = client.search(index=index, body={"size": 10_000, "_source": False})["hits"]["hits"]
        assert self._items.keys() == {one["_id"] for one in found}
        # OpenSearch copies only an index that nobody can write to. The copy stays like that.
        client.indices.put_settings(index=index, body={"index.blocks.write": True})
        client.indices.clone(index=index, target=KEPT)
        client.indices.put_settings(index=index, body={"index.blocks.write": None})

    def restore(self) -> None:
        """Restore both stores. The index is a new one, which remembers no deleted document."""
        restore_items(self._clients, self._items)
        self._restore_documents()
        pages = self._clients.s3.get_paginator("list_objects_v2").paginate(
            Bucket=self._stack.bucket
        )
        for page in pages:
            for its in page.get("Contents", ()):
                # The event source mappings remember a loss, so its acknowledgement stays, too.
                if not its["Key"].startswith(ACKNOWLEDGED):
                    self._clients.s3.delete_object(Bucket=self._stack.bucket, Key=its["Key"])

    def _restore_documents(self) -> None:
        """Copy files, which is faster than to index documents again. It keeps their versions."""
        client, alias = self._clients.opensearch, self._stack.index
        client.indices.delete(index=f"{alias}-*")
        body = {"settings": {"index.blocks.write": None}, "aliases": alias_definitions(alias)}
        client.indices.clone(index=KEPT, target=f"{alias}-000001", body=body)
