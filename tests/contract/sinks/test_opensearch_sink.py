"""The index under the contract, on OpenSearch; and what only an index can get wrong."""

import socket
import uuid
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
import pytest
from opensearchpy import OpenSearch, Urllib3HttpConnection
from opensearchpy.exceptions import NotFoundError

from functions.write_to_es.aliases import live_alias
from functions.write_to_es.bulk import MAX_REQUEST_BYTES
from functions.write_to_es.connect import connect
from functions.write_to_es.index import definition, ensure_index
from functions.write_to_es.sink import ImageIndex
from shared.change import Change, Put
from shared.event import Image
from shared.horizon import HORIZON
from shared.outcome import Applied, Conflict, Duplicate, Failed, Refused, Stale
from shared.sink import MisconfiguredError, RequestFailedError, RequestRefusedError
from tests.builders import change, image, image_event, purge_of, without_held
from tests.contract.sinks.suite import (
    DELETED,
    UPDATED,
    UPLOADED,
    SinkContract,
    Store,
    Stored,
    as_stored,
    biggest_change,
    delivered_with_none_set_aside,
    write,
    write_each,
)


class Listening(Urllib3HttpConnection):
    """A connection that notes what goes through it."""

    def __init__(self, *, noted: list[tuple[str, str, bytes]], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._noted = noted

    def perform_request(
        self,
        method: str,
        url: str,
        params: Any = None,
        body: Any = None,
        *args: Any,
        **kwargs: Any,
    ) -> Any:
        self._noted.append((method, url, body or b""))
        return super().perform_request(method, url, params, body, *args, **kwargs)


class IndexStore:
    """An index of our own, and its documents as OpenSearch keeps them.

    `requests` are those of the sink alone: method, path and body.
    """

    def __init__(self, endpoint: str) -> None:
        self.alias = f"images-{uuid.uuid4()}"
        self.client = client_of(endpoint)
        self.requests: list[tuple[str, str, bytes]] = []
        self.sink = ImageIndex(
            OpenSearch(
                [endpoint],
                connection_class=Listening,
                noted=self.requests,
                timeout=120,
                max_retries=0,
            ),
            self.alias,
            longest_request=30.0,
        )

    def document(self, image_id: str) -> Mapping[str, Any] | None:
        try:
            found: Mapping[str, Any] = self.client.get(index=self.alias, id=image_id)
        except NotFoundError:
            return None
        return found

    def stored(self, image_id: str) -> Stored | None:
        found = self.document(image_id)
        return None if found is None else stored_in(found, image_id)

    def setting(self, **settings: Any) -> None:
        self.client.indices.put_settings(index=self.alias, body={"index": settings})

    def write_behind_our_back(self, image_id: str, **fields: Any) -> None:
        self.client.update(index=self.alias, id=image_id, body={"doc": fields})

    def paths(self) -> list[tuple[str, str]]:
        return [(method, url) for method, url, _ in self.requests]


def client_of(endpoint: str) -> OpenSearch:
    return OpenSearch([endpoint], timeout=120, max_retries=0)


def stored_in(found: Mapping[str, Any], image_id: str) -> Stored:
    """What a document says, which must be this image's."""
    source = found["_source"]
    assert found["_id"] == source["image_id"] == image_id
    assert found["_version"] == source["version"]
    return Stored(
        version=source["version"],
        deleted=source["deleted"],
        digest=source.get("digest"),
        expires_at=source.get("expires_at"),
        image=None if source["deleted"] else image_in(source),
    )


def image_in(source: Mapping[str, Any]) -> Image:
    fields = {
        name: source[name] for name in Image.__struct_fields__ if name in source.keys() - PAIRS
    }
    if "attributes" in source:
        fields["attributes"] = {one["name"]: one["value"] for one in source["attributes"]}
    return msgspec.convert(fields, Image)


PAIRS = {"attributes"}


@pytest.fixture
def index(opensearch_endpoint: str) -> Iterator[IndexStore]:
    store = IndexStore(opensearch_endpoint)
    ensure_index(store.client, store.alias)
    yield store
    store.client.indices.delete(index=f"{store.alias}-0*")


class TestImageIndex(SinkContract):
    @pytest.fixture
    def store(self, index: IndexStore) -> Store:
        return index


class TestRequests:
    @pytest.mark.parametrize("event_type", [UPLOADED, UPDATED, DELETED])
    def test_a_batch_is_one_bulk_and_no_read(self, index: IndexStore, event_type: str) -> None:
        for version in (1, 2):
            changes = [change(f"T{number}", version, event_type) for number in range(500)]
            assert write(index.sink, *changes) == [Applied()] * 500
        assert index.paths() == [("POST", f"/{index.alias}/_bulk")] * 2

    def test_late_changes_cost_one_read_for_all(self, index: IndexStore) -> None:
        write(index.sink, *(change(f"T{number}", 2) for number in range(50)))
        index.requests.clear()
        late = [change(f"T{number}", 1, DELETED) for number in range(50)]
        assert write(index.sink, *late) == [Stale()] * 50
        assert index.paths() == [
            ("POST", f"/{index.alias}/_bulk"),
            ("POST", f"/{index.alias}/_mget"),
        ]

    def test_a_replay_costs_one_read_for_all_that_are_there_already(
        self, index: IndexStore
    ) -> None:
        changes = [change(f"T{number}", 2) for number in range(50)]
        write(index.sink, *changes)
        index.requests.clear()
        again = [*changes[:49], change("T49", 3), change("T50", 1)]
        expected = [Duplicate()] * 49 + [Applied()] * 2
        assert write(index.sink, *again) == expected
        assert index.paths() == [
            ("POST", f"/{index.alias}/_bulk"),
            ("POST", f"/{index.alias}/_mget"),
        ]
        *_, (_, _, body) = index.requests
        assert len(msgspec.json.decode(body)["docs"]) == 49

    def test_no_index_is_named_in_a_body(self, index: IndexStore) -> None:
        # A domain's `allow_explicit_index: false` refuses that (docs/internals/facts.md).
        write_each(index.sink, change("T1", 1), change("T1", 1))
        assert [url.rpartition("/")[2] for _, url in index.paths()] == ["_bulk", "_bulk", "_mget"]
        assert all(b"_index" not in body for _, _, body in index.requests)

    def test_each_operation_carries_its_own_guard(self, index: IndexStore) -> None:
        write(index.sink, change("T1", 7), change("T2", 8, DELETED))
        ((_, _, body),) = index.requests
        actions = [msgspec.json.decode(line) for line in body.splitlines()[::2]]
        guard = {"version_type": "external", "require_alias": True}
        assert actions == [
            {"index": {"_id": "T1", "version": 7} | guard},
            {"index": {"_id": "T2", "version": 8} | guard},
        ]

    def test_requests_are_cut_below_what_a_small_domain_takes(self, index: IndexStore) -> None:
        biggest = [biggest_change(f"T{number}", "\x01") for number in range(30)]
        assert write(index.sink, *biggest) == [Applied()] * 30
        sizes = [len(body) for _, _, body in index.requests]
        assert len(sizes) == 2
        assert max(sizes) <= MAX_REQUEST_BYTES

    def test_a_part_of_a_request_can_be_sent_alone(self, index: IndexStore) -> None:
        (request,) = index.sink.requests([change(f"T{number}") for number in range(4)])
        assert index.sink.send(request[:2]) == [Applied()] * 2
        outcomes = without_held(index.sink.send(request))
        assert outcomes == [Duplicate()] * 2 + [Applied()] * 2

    def test_an_id_with_a_line_end_cannot_smuggle_in_an_operation(self, index: IndexStore) -> None:
        write(index.sink, change("T2", 1))
        smuggler = 'T1"}}\n{"a":1}\n{"delete":{"_id":"T2"}}\n{"index":{"_id":"T3'
        one = _renamed(change("T1", 1), smuggler)
        assert write(index.sink, one) == [Applied()]
        assert index.document(smuggler) is not None
        assert index.stored("T2") == as_stored(change("T2", 1))

    def test_a_request_that_names_an_impossible_id_is_refused_as_a_whole(
        self, index: IndexStore
    ) -> None:
        with pytest.raises(RequestRefusedError, match="400"):
            write(index.sink, change("T1", 1), _renamed(change("T2", 1), "x" * 513))
        assert index.document("T1") is None


def _renamed(one: Change, image_id: str) -> Change:
    return msgspec.structs.replace(one, image_id=image_id)


class TestDocuments:
    @pytest.mark.parametrize(
        "time",
        [
            "0001-01-01T00:00:00+14:00",
            "0001-01-01T00:00:00+18:00",
            "9999-12-31T23:59:59.999999-12:00",
            "9999-12-31T23:59:59.999999-18:00",
            "2026-11-21T08:00:00.123456+05:45",
            "1831-07-01T12:00:00Z",
        ],
    )
    def test_any_time_that_an_event_may_carry_is_stored_as_it_was_written_and_indexed(
        self, index: IndexStore, time: str
    ) -> None:
        one = change("T1", 1, occurred_at=time, image=image("x", taken_at=time))
        assert write(index.sink, one) == [Applied()]
        assert index.stored("T1") == as_stored(one)
        document = index.document("T1")
        assert document is not None
        assert document["_source"]["occurred_at"] == document["_source"]["taken_at"] == time
        # OpenSearch names here what it could not make a date of.
        assert "_ignored" not in document

    def test_a_document_says_everything_that_the_format_names(self, index: IndexStore) -> None:
        write(index.sink, change("T1", 1, image=image("x", attributes={"artist": "y"})))
        write(index.sink, change("T2", 1, DELETED))
        put, tombstone = index.document("T1"), index.document("T2")
        assert put is not None
        assert tombstone is not None
        one = change("T1", 1, image=image("x", attributes={"artist": "y"}))
        assert isinstance(one, Put)
        assert put["_source"] == {
            "image_id": "T1",
            "version": 1,
            "deleted": False,
            "digest": one.digest,
            "event_type": UPLOADED,
            "occurred_at": "2026-11-21T08:00:00.123456Z",
            "arrived_at": 1795248000500,
            "name": "x",
            "attributes": [{"name": "artist", "value": "y"}],
        }
        assert tombstone["_source"] == {
            "image_id": "T2",
            "version": 1,
            "deleted": True,
            "event_type": DELETED,
            "occurred_at": "2026-11-21T08:00:00.123456Z",
            "arrived_at": 1795248000500,
            "expires_at": 1795248000 + int(HORIZON.total_seconds()),
        }

    def test_a_value_that_no_index_can_hold_is_refused_and_its_neighbour_stored(
        self, index: IndexStore
    ) -> None:
        long = msgspec.structs.replace(change("T1", 1), digest="x" * 33_000)
        refused, applied = write(index.sink, long, change("T2", 1))
        assert isinstance(refused, Refused)
        assert "immense term" in refused.detail
        assert len(refused.detail) < 1000
        assert applied == Applied()


class TestGuard:
    def test_a_tombstone_outlasts_what_opensearch_remembers_of_a_deletion(
        self, index: IndexStore
    ) -> None:
        index.setting(gc_deletes="0s")
        deleted = change("T1", 6, DELETED)
        write_each(index.sink, change("T1", 5), deleted)
        # A refresh is when a node forgets deleted documents.
        index.client.indices.refresh(index=index.alias)
        assert write(index.sink, change("T1", 5)) == [Stale()]
        assert index.stored("T1") == as_stored(deleted)

    def test_a_purge_takes_the_tombstone_and_leaves_no_document(self, index: IndexStore) -> None:
        tombstone = change("T1", 4, DELETED)
        outcomes = write_each(index.sink, tombstone, purge_of(tombstone))
        assert outcomes == [Applied(), Applied()]
        assert index.stored("T1") is None

    def test_a_purge_comes_twice_or_to_nothing_and_is_done(self, index: IndexStore) -> None:
        gone = purge_of(change("T1", 4, DELETED))
        assert write_each(index.sink, gone, gone) == [Applied(), Applied()]

    def test_a_purge_leaves_an_image_that_has_come_back(self, index: IndexStore) -> None:
        back = change("T1", 5)
        purge = purge_of(change("T1", 4, DELETED))
        assert write_each(index.sink, back, purge) == [Applied(), Stale()]
        assert index.stored("T1") == as_stored(back)

    def test_a_purge_stands_beside_other_changes_of_its_request(self, index: IndexStore) -> None:
        write(index.sink, change("T2", 4, DELETED))
        changes = [change("T1", 1), purge_of(change("T2", 4, DELETED)), change("T3", 1)]
        assert index.sink.send(changes) == [Applied()] * 3
        assert [index.document(one.image_id) is None for one in changes] == [False, True, False]

    def test_a_purge_without_the_alias_makes_no_index(self, opensearch_endpoint: str) -> None:
        store = IndexStore(opensearch_endpoint)
        with pytest.raises(MisconfiguredError, match="index_not_found"):
            store.sink.send([purge_of(change("T1", 4, DELETED))])
        assert not store.client.indices.exists(index=store.alias)

    def test_an_image_deleted_behind_our_back_is_tried_again_later(self, index: IndexStore) -> None:
        write(index.sink, change("T1", 5))
        index.client.delete(
            index=index.alias, id="T1", params={"version": 6, "version_type": "external"}
        )
        (failed,) = write(index.sink, change("T1", 6))
        assert isinstance(failed, Failed)
        assert "another program deleted the document" in failed.detail
        assert write(index.sink, change("T1", 7)) == [Applied()]

    def test_a_version_moved_behind_our_back_never_loses_an_event(self, index: IndexStore) -> None:
        write(index.sink, change("T1", 5))
        index.write_behind_our_back("T1", uploaded_by="somebody")  # `_version` is 6 now
        six = change("T1", 6)
        (conflict,) = write(index.sink, six)
        assert isinstance(conflict, Conflict)
        assert "of version 5, which another program moved to 6" in conflict.detail
        index.write_behind_our_back("T1", uploaded_by="somebody else")
        (conflict,) = write(index.sink, six)
        assert isinstance(conflict, Conflict)
        assert "of version 5, which another program moved to 7" in conflict.detail
        assert write(index.sink, change("T1", 8)) == [Applied()]
        assert index.stored("T1") == as_stored(change("T1", 8))


def _deliver_two(store: IndexStore) -> None:
    shown = image(attributes={"artist": "Turner"})
    delivered_with_none_set_aside(
        store.sink,
        "write_to_es",
        image_event("T1", 1, image=shown),
        image_event("T2", 1, image=shown),
    )


class TestDeployment:
    def test_a_missing_alias_is_a_misconfiguration_and_makes_no_index(
        self, opensearch_endpoint: str
    ) -> None:
        store = IndexStore(opensearch_endpoint)
        with pytest.raises(MisconfiguredError, match=f"index {store.alias}: .*no such index"):
            write(store.sink, change("T1", 1))
        with pytest.raises(MisconfiguredError, match=f"index {store.alias}: .*404"):
            store.sink.check()
        assert not store.client.indices.exists(index=store.alias)

    def test_an_index_in_the_place_of_the_alias_is_a_misconfiguration(
        self, opensearch_endpoint: str
    ) -> None:
        store = IndexStore(opensearch_endpoint)
        store.client.indices.create(index=store.alias)
        with pytest.raises(MisconfiguredError, match="is not an alias"):
            write(store.sink, change("T1", 1))
        with pytest.raises(MisconfiguredError, match="expected an alias"):
            store.sink.check()
        store.client.indices.delete(index=store.alias)

    def test_a_closed_index_is_a_misconfiguration(self, index: IndexStore) -> None:
        index.client.indices.close(index=index.alias)
        with pytest.raises(MisconfiguredError, match="index_closed_exception"):
            write(index.sink, change("T1", 1))

    def test_an_index_blocked_for_writing_is_a_misconfiguration(self, index: IndexStore) -> None:
        index.setting(blocks={"write": True})
        with pytest.raises(MisconfiguredError, match="FORBIDDEN"):
            write(index.sink, change("T1", 1))

    def test_an_alias_without_an_index_to_write_to_is_a_misconfiguration(
        self, index: IndexStore
    ) -> None:
        second = f"{index.alias}-000002"
        index.client.indices.create(index=second)
        index.client.indices.put_alias(index=second, name=index.alias)
        index.client.indices.put_alias(
            index=f"{index.alias}-000001", name=index.alias, body={"is_write_index": False}
        )
        with pytest.raises(MisconfiguredError, match="no write index"):
            write(index.sink, change("T1", 1))
        with pytest.raises(MisconfiguredError, match=r"000001, .*000002, expected one index"):
            index.sink.check()

    @pytest.mark.parametrize(
        ("mapping", "first"),
        [
            # As guessed from a first document of somebody else.
            (
                {"properties": {"name": {"type": "long"}}},
                'mappings.dynamic is null, expected "strict"',
            ),
            # As left by an older release.
            (
                {"dynamic": "strict", "properties": {"version": {"type": "long"}}},
                "strict_dynamic_mapping_exception",
            ),
        ],
    )
    def test_a_mapping_that_is_not_ours_stops_the_stream(
        self, opensearch_endpoint: str, mapping: Mapping[str, Any], first: str
    ) -> None:
        store = IndexStore(opensearch_endpoint)
        store.client.indices.create(
            index=f"{store.alias}-000001",
            body={"mappings": mapping, "aliases": {store.alias: {}}},
        )
        with pytest.raises(MisconfiguredError, match=first):
            _deliver_two(store)
        store.client.indices.delete(index=f"{store.alias}-000001")

    @pytest.mark.parametrize(
        ("settings", "told"),
        [
            ({"default_pipeline": "nowhere"}, "default_pipeline is nowhere, expected _none"),
            ({"final_pipeline": "nowhere"}, "final_pipeline is nowhere, expected _none"),
            (
                {"mapping.nested_objects.limit": 0},
                "nested_objects.limit is 0, expected at least 64",
            ),
        ],
    )
    def test_a_setting_that_refuses_good_documents_stops_the_stream(
        self, index: IndexStore, settings: Mapping[str, Any], told: str
    ) -> None:
        index.client.indices.put_settings(index=index.alias, body={"index": settings})
        with pytest.raises(MisconfiguredError, match=told):
            _deliver_two(index)

    def test_one_field_defined_otherwise_is_named_with_both_definitions(
        self, opensearch_endpoint: str
    ) -> None:
        store = IndexStore(opensearch_endpoint)
        body = msgspec.json.decode(msgspec.json.encode(definition()))
        body["mappings"]["properties"]["name"]["fields"]["stem"]["analyzer"] = "exact"
        store.client.indices.create(
            index=f"{store.alias}-000001", body=body | {"aliases": {store.alias: {}}}
        )
        expected = r'name.fields.stem.analyzer is "exact", expected "stem"'
        with pytest.raises(MisconfiguredError, match=expected):
            store.sink.check()
        store.client.indices.delete(index=f"{store.alias}-000001")

    def test_an_analyzer_defined_otherwise_is_named_with_both_definitions(
        self, opensearch_endpoint: str
    ) -> None:
        store = IndexStore(opensearch_endpoint)
        body = msgspec.json.decode(msgspec.json.encode(definition()))
        body["settings"]["analysis"]["analyzer"]["stem"]["filter"] = ["lowercase"]
        store.client.indices.create(
            index=f"{store.alias}-000001", body=body | {"aliases": {store.alias: {}}}
        )
        expected = r'analyzer.stem is .*\["lowercase"\].* expected .*"runs_of_parts","lowercase"'
        with pytest.raises(MisconfiguredError, match=expected):
            store.sink.check()
        store.client.indices.delete(index=f"{store.alias}-000001")

    def test_fields_beside_ours_are_allowed(self, index: IndexStore) -> None:
        more = {"properties": {"colour": {"type": "keyword"}}, "_meta": {"owner": "somebody"}}
        index.client.indices.put_mapping(index=index.alias, body=more)
        index.sink.check()

    def test_an_index_that_does_not_answer_is_tried_again_later(self) -> None:
        with socket.socket() as bound_but_deaf:
            bound_but_deaf.bind(("127.0.0.1", 0))
            port = bound_but_deaf.getsockname()[1]
            client = connect(f"http://127.0.0.1:{port}", None, None)
            sink = ImageIndex(client, "images", longest_request=5.0)
            with pytest.raises(RequestFailedError, match="index images"):
                write(sink, change())
            with pytest.raises(RequestFailedError, match="index images"):
                sink.check()

    def test_readers_do_not_see_tombstones(self, index: IndexStore) -> None:
        write(index.sink, change("T1", 1), change("T2", 1, DELETED))
        index.client.indices.refresh(index=index.alias)
        found = index.client.search(index=live_alias(index.alias))
        assert [hit["_id"] for hit in found["hits"]["hits"]] == ["T1"]
