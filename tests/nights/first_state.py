"""What both stores of a stack held at first, so that the stack can serve another night."""

from collections.abc import Mapping, Sequence
from itertools import batched
from typing import Any

from lockstep.local.prepare import prepare
from lockstep.stack.clients import Clients
from shared.item import KEY

WRITES = 25  # in a request to the table
DOCUMENTS = 200  # in a request to the index
# On a busy machine, the first request to a new index takes long.
PATIENCE = {"request_timeout": 120}


type Items = Mapping[str, Any]


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
    """The items and documents of a stack, and an empty quarantine bucket."""

    def __init__(self, clients: Clients) -> None:
        self._clients = clients
        self._stack = clients.stack
        self._items = items_now(clients)
        found = clients.opensearch.search(
            index=self._stack.index, body={"size": 10_000, "version": True}
        )
        self._documents: Sequence[Mapping[str, Any]] = found["hits"]["hits"]
        assert self._items.keys() == {one["_id"] for one in self._documents}

    def restore(self) -> None:
        """Restore both stores. The index is a new one, which remembers no deleted document."""
        restore_items(self._clients, self._items)
        self._restore_documents()
        pages = self._clients.s3.get_paginator("list_objects_v2").paginate(
            Bucket=self._stack.bucket
        )
        for page in pages:
            for its in page.get("Contents", ()):
                self._clients.s3.delete_object(Bucket=self._stack.bucket, Key=its["Key"])

    def _restore_documents(self) -> None:
        client, index = self._clients.opensearch, self._stack.index
        client.indices.delete(index=f"{index}-*", params=PATIENCE)
        prepare(self._stack, self._clients, shards=1)
        for some in batched(self._documents, DOCUMENTS):
            lines: list[Any] = []
            for one in some:
                version = {"version": one["_version"], "version_type": "external"}
                lines += [{"index": {"_id": one["_id"], **version}}, one["_source"]]
            assert not client.bulk(body=lines, index=index, params=PATIENCE)["errors"]
        client.indices.refresh(index=index, params=PATIENCE)
