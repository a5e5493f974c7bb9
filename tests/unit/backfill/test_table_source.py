"""A restored copy of the table as the source of an import: its images, as new events."""

from collections.abc import Iterator
from typing import Any

import boto3
import msgspec
import pytest
from moto import mock_aws

from lockstep.producing.table_source import TableSource
from lockstep.source_files.text import SourceError
from lockstep.source_files.unreadable import UnreadableRecord
from lockstep.stack.clients import Clients
from lockstep.stack.use_cases.put import import_sources
from lockstep.stores.table import TableReader
from shared.event import Image
from shared.item import item_from
from tests.builders import change, deployed_stack, image, restored_table

COPY, OWN = "images-restored", "images"


@pytest.fixture
def clients() -> Iterator[Clients]:
    with mock_aws():
        clients = Clients(deployed_stack(table=OWN))
        clients.dynamodb = boto3.client("dynamodb", "eu-central-1")
        for table in (COPY, OWN):
            restored_table(clients.dynamodb, table)
        yield clients


def _put(clients: Clients, *items: Any) -> None:
    for item in items:
        clients.dynamodb.put_item(TableName=COPY, Item=item)


def _read(clients: Clients) -> list[bytes | UnreadableRecord]:
    (source,) = import_sources(clients, f"dynamodb://{COPY}")
    assert source.name == f"dynamodb://{COPY}"
    with source.records(are_events=True) as records:
        return list(records)


def test_an_image_becomes_an_event_without_its_version_and_a_tombstone_nothing(
    clients: Clients,
) -> None:
    kept, gone = change("kept", 7, image=image("Kept")), change("gone", 8, "image.deleted")
    _put(clients, item_from(kept), item_from(gone))
    (record,) = _read(clients)
    assert isinstance(record, bytes)
    found = msgspec.json.decode(record)
    assert found.keys() == {"image_id", "image"}
    assert found["image_id"] == "kept"
    assert msgspec.convert(found["image"], Image) == msgspec.convert(image("Kept"), Image)


def test_an_item_that_is_not_ours_is_named_with_its_image(clients: Clients) -> None:
    broken = item_from(change("broken", 7)) | {"digest": {"S": "other"}}
    foreign: Any = {"image_id": {"S": "foreign"}, "deleted": {"BOOL": True}}
    _put(clients, broken, foreign)
    (record,) = _read(clients)
    assert isinstance(record, UnreadableRecord)
    assert record.reason == "malformed"
    assert record.detail.startswith("image broken: ")


def test_the_table_of_the_stack_itself_is_no_copy(clients: Clients) -> None:
    with pytest.raises(SourceError, match="the table of this stack"):
        import_sources(clients, f"dynamodb://{OWN}")


def test_all_pages_of_a_copy_are_read(clients: Clients) -> None:
    _put(clients, *(item_from(change(f"i{n}", 7)) for n in range(5)))
    reader = TableReader(clients.dynamodb, COPY)
    pages = [page for _ in range(2) for page in reader.pages(None)]
    with TableSource("two pages", pages).records(are_events=True) as records:
        assert len(list(records)) == 10
