"""What happens in the seven nights, before somebody notices: faults, restores, forgeries, time."""

import datetime as dt
import os
import sqlite3
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from itertools import batched
from pathlib import Path
from typing import Any

import msgspec

from functions.write_to_es.aliases import live_alias
from functions.write_to_es.index import definition
from functions.write_to_es.sink import ImageIndex
from lockstep.stack.clients import Clients
from shared.change import Change, change_from
from shared.event import Event
from shared.item import KEY
from shared.outcome import Applied
from shared.quarantine import CONSUMERS, TABLE_CONSUMER, quarantined
from shared.record import Record
from shared.sink import Sink, outcomes_of
from tests.builders import decoded, image_event, record, restored_table
from tests.flow.shell import Shell
from tests.nights.first_state import WRITES, Items, items_now, restore_items

DAY = 24 * 3600
# In seconds. The consumers take long on a busy machine.
PATIENCE = "600"
LOST = 200
CHANGED, MADE, REMOVED = 600, 200, 200
DELETED = 300
# The restored table of docs/guides/restore.md.
COPY = "images-restored"


class Night:
    """One stack, and what can happen to it. Each method without arguments is a happening."""

    def __init__(self, folder: Path, shell: Shell, clients: Clients) -> None:
        self.folder = folder
        self.shell = shell
        self.clients = clients
        self.stack = clients.stack
        self.is_over = False
        """Whether it ended as the guide says."""
        self._backup: Items = {}

    @property
    def happenings(self) -> Mapping[str, Callable[[], None]]:
        """Each happening, by its name in the guide."""
        names = [name for name in vars(type(self)) if not name.startswith("_")]
        return {name: getattr(self, name) for name in names if name != "happenings"}

    def table_loses_200_records(self) -> None:
        """A fault of the table's consumer acknowledged 200 records and wrote none of them."""
        self._delete_items(self._some_ids(LOST))

    def index_loses_200_records(self) -> None:
        """A fault of the index's consumer acknowledged 200 records and wrote none of them."""
        self._delete_documents(self._some_ids(LOST))

    def table_is_backed_up(self) -> None:
        """A backup holds what the table holds now."""
        self._backup = items_now(self.clients)

    def a_day_of_changes(self) -> None:
        """Of the images, 50 are changed, 5 are removed and 5 are new."""
        ids = self._some_ids(55)
        events = [
            *(self._event(one, "image.updated", name=f"{one}, cleaned") for one in ids[:50]),
            *(self._event(one, "image.deleted") for one in ids[50:]),
            *(self._event(f"NEW-{n}", "image.uploaded", name=f"New picture {n}") for n in range(5)),
        ]
        self._put(events)

    def table_is_restored(self) -> None:
        """The table is as in its backup."""
        restore_items(self.clients, self._backup)

    def table_is_deleted(self) -> None:
        """Somebody deleted the table."""
        self.clients.dynamodb.delete_table(TableName=self.stack.table)

    def copy_is_restored(self) -> None:
        """DynamoDB restored the backup to a new table, which has its items and its key only."""
        restored_table(self.clients.dynamodb, COPY)
        puts: list[Any] = [{"PutRequest": {"Item": item}} for item in self._backup.values()]
        for some in batched(puts, WRITES):
            self.clients.dynamodb.batch_write_item(RequestItems={COPY: list(some)})

    def three_hundred_images_are_deleted_by_mistake(self) -> None:
        """A producer put deletions that nobody wanted."""
        self._put([self._event(one, "image.deleted") for one in self._some_ids(DELETED)])

    def fifty_images_change(self) -> None:
        """A producer changed 50 of the images that are there."""
        there = [one for one, item in items_now(self.clients).items() if "image" in item]
        self._put(
            [
                self._event(one, "image.updated", name=f"{one}, cleaned")
                for one in sorted(there)[:50]
            ]
        )

    def a_month_of_changes(self) -> None:
        """Of the images, 600 are changed, 200 are removed, and 200 are new."""
        ids = self._some_ids(CHANGED + REMOVED)
        self._put(
            [
                *(
                    self._event(one, "image.updated", name=f"{one}, cleaned")
                    for one in ids[:CHANGED]
                ),
                *(self._event(one, "image.deleted") for one in ids[CHANGED:]),
                *(
                    self._event(f"NEW-{n:03}", "image.uploaded", name=f"New picture {n}")
                    for n in range(MADE)
                ),
            ]
        )

    def eight_days_pass(self) -> None:
        """The stream, which keeps seven days, loses all that it holds now."""
        self._records_are_older_by(8)

    def index_is_lost(self) -> None:
        """Somebody deleted the index, and with it both aliases."""
        (index,) = self.clients.opensearch.indices.get_alias(name=self.stack.index)
        self.clients.opensearch.indices.delete(index=index)

    def index_is_restored_from_an_old_snapshot(self) -> None:
        """Both aliases point to an index with 1,900 images as they were, without the filter."""
        client, alias = self.clients.opensearch, self.stack.index
        (index,) = client.indices.get_alias(name=alias)
        restored = f"{alias}-restored"
        client.indices.create(index=restored, body=definition())
        lacks = {"ids": {"values": self._some_ids(100)}}
        others = {"query": {"bool": {"must_not": lacks}}, "size": 1_900, "version": True}
        hits = client.search(index=index, body=others)["hits"]["hits"]
        for some in batched(hits, 500):
            lines: list[Any] = []
            for hit in some:
                target = {"_id": hit["_id"], "version": hit["_version"], "version_type": "external"}
                lines += [{"index": target}, hit["_source"]]
            client.bulk(body=lines, index=restored, refresh=True)
        actions = [{"remove_index": {"index": index}}]
        actions += [
            {"add": {"index": restored, "alias": one}} for one in (alias, live_alias(alias))
        ]
        client.indices.update_aliases(body={"actions": actions})

    def document_is_forged(self) -> None:
        """Somebody with the rights of the index's role wrote a newer document."""
        image_id = self._some_ids(1)[0]
        event, forged_record = self._past_event(image_id, "Forged", days_ago=0)
        self._write(self._index_sink(), [change_from(event, forged_record)])

    def record_was_refused_60_days_ago(self) -> None:
        """The table's consumer quarantined an image, which the index has."""
        self._refused("OLD-60", days_ago=60)

    def record_was_refused_95_days_ago(self) -> None:
        """The table's consumer quarantined an image, which the index has."""
        self._refused("OLD-95", days_ago=95)

    def retention_is_raised_to_30_days(self) -> None:
        """A deployment with `RetentionDays=30`."""
        self.clients.kinesis.increase_stream_retention_period(
            StreamName=self.stack.stream, RetentionPeriodHours=30 * 24
        )

    def retention_is_lowered_to_7_days(self) -> None:
        """A deployment with `RetentionDays=7`."""
        self.clients.kinesis.decrease_stream_retention_period(
            StreamName=self.stack.stream, RetentionPeriodHours=7 * 24
        )

    def both_mappings_stop(self) -> None:
        """Neither consumer reads the stream any more. The supervisor would restart a dead one."""
        for name in CONSUMERS:
            self.shell.processes()[name].suspend()

    def both_mappings_run_again(self) -> None:
        """Both consumers read on."""
        for name in CONSUMERS:
            self.shell.processes()[name].resume()

    def fifty_images_arrive(self) -> None:
        """A producer puts 50 new images."""
        names = [f"LATE-{n:02}" for n in range(50)]
        events = [self._event(one, "image.uploaded", name=f"Picture {one}") for one in names]
        lines = b"".join(msgspec.json.encode(one) + b"\n" for one in events)
        (self.folder / "fifty.ndjson").write_bytes(lines)
        self.shell.run("put", "-", stdin=lines)

    def _put(self, events: Sequence[Mapping[str, Any]]) -> None:
        lines = b"".join(msgspec.json.encode(one) + b"\n" for one in events)
        self.shell.run("put", "-", stdin=lines)
        self.shell.run("status", "--wait", PATIENCE)

    def _records_are_older_by(self, days: int) -> None:
        connection = sqlite3.connect(self.shell.state / "kinesis.db", timeout=60)
        with closing(connection), connection as database:
            shift = {"by": days * DAY * 1_000}
            database.execute("UPDATE records SET arrived_at = arrived_at - :by", shift)
            database.execute("UPDATE shards SET last_arrival = last_arrival - :by", shift)

    def _refused(self, image_id: str, *, days_ago: int) -> None:
        event, its = self._past_event(image_id, f"Refused {days_ago} days ago", days_ago=days_ago)
        change = change_from(event, its)
        self._write(self._index_sink(), [change])
        held = quarantined(
            its,
            function=TABLE_CONSUMER,
            change=change,
            reason="refused_by_store",
            detail="table lockstep-images: ValidationException: the table had another key",
            at=(dt.datetime.now(dt.UTC) - dt.timedelta(days=days_ago)).isoformat(),
        )
        body = msgspec.json.encode(held)
        self.clients.s3.put_object(Bucket=self.stack.bucket, Key=held.key, Body=body)
        (stored,) = (self.shell.state / "s3").rglob(Path(held.key).name)
        then = time.time() - days_ago * DAY
        os.utime(stored, (then, then))

    def _past_event(self, image_id: str, name: str, *, days_ago: int) -> tuple[Event, Record]:
        """An event that arrived then, and its record."""
        at = dt.datetime.now(dt.UTC) - dt.timedelta(days=days_ago)
        event = image_event(
            image_id,
            int(at.timestamp() * 1_000_000),
            occurred_at=at.isoformat(),
            image={"name": name},
        )
        return decoded(event), record(event, arrived_at=int(at.timestamp() * 1_000))

    def _index_sink(self) -> ImageIndex:
        return ImageIndex(self.clients.opensearch, self.stack.index, longest_request=0.0)

    def _write(self, sink: Sink, changes: Sequence[Change]) -> None:
        for request in sink.requests(changes):
            assert all(one == Applied() for one in outcomes_of(request, sink.send))
        self.clients.opensearch.indices.refresh(index=self.stack.index)

    def _some_ids(self, count: int) -> list[str]:
        """The IDs of the images that were put first, in that order."""
        items = items_now(self.clients)
        return sorted(items, key=lambda one: int(items[one]["version"]["N"]))[:count]

    def _delete_items(self, image_ids: Iterable[str]) -> None:
        for some in batched(image_ids, 25):
            deletes: list[Any] = [{"DeleteRequest": {"Key": {KEY: {"S": one}}}} for one in some]
            self.clients.dynamodb.batch_write_item(RequestItems={self.stack.table: deletes})

    def _delete_documents(self, image_ids: Iterable[str]) -> None:
        """As if they had never been written: without the memory that a deletion leaves."""
        client, index = self.clients.opensearch, self.stack.index
        client.indices.put_settings(index=index, body={"gc_deletes": "0s"})
        client.bulk(body=[{"delete": {"_id": one}} for one in image_ids], index=index, refresh=True)
        time.sleep(1)  # OpenSearch looks at the age of its deletions in steps
        client.indices.refresh(index=index)
        client.indices.put_settings(index=index, body={"gc_deletes": None})

    def _event(self, image_id: str, kind: str, **image: Any) -> dict[str, Any]:
        now = dt.datetime.now(dt.UTC)
        event = image_event(image_id, event_type=kind, occurred_at=now.isoformat())
        del event["version"]
        if image:
            event["image"] = image
        return event
