"""The fake of OpenSearch passes the contract tests of the real index."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast, override

import msgspec
import opensearchpy
import pytest

from functions.write_to_es.sink import ImageIndex
from lockstep.simulation.components import INDEX
from lockstep.simulation.fakes.network import PartFailure
from lockstep.simulation.fakes.opensearch import GC_DELETES_SECONDS, OpenSearch
from lockstep.stores.corrections import Corrections, Removal
from lockstep.stores.index import IndexReader
from shared.outcome import Applied, Failed, Stale
from tests.builders import change
from tests.contract.sinks import test_opensearch_sink
from tests.contract.sinks.suite import (
    DELETED,
    SinkContract,
    Store,
    Stored,
    write,
    write_each,
)
from tests.contract.sinks.test_opensearch_sink import stored_in
from tests.simulation.test_fake_dynamodb import as_entry


class Recording(OpenSearch):
    """A fake that records its requests, as the connection of the contract tests does."""

    def __init__(self, alias: str, *, honours_parameters: bool) -> None:
        self.requests: list[tuple[str, str, bytes]] = []
        self.now = 0.0
        super().__init__(alias, now=lambda: self.now, honours_parameters=honours_parameters)

    @override
    def bulk(self, *, body: bytes, index: str, params: Any = None) -> dict[str, Any]:
        self.requests.append(("POST", f"/{index}/_bulk", body))
        return super().bulk(body=body, index=index, params=params)

    @override
    def mget(self, *, body: Any, index: str, params: Any = None) -> dict[str, Any]:
        self.requests.append(("POST", f"/{index}/_mget", msgspec.json.encode(body)))
        return super().mget(body=body, index=index, params=params)


class FakeIndexStore:
    def __init__(self, *, honours_parameters: bool) -> None:
        self.alias = "images"
        self.client = Recording(self.alias, honours_parameters=honours_parameters)
        self.requests = self.client.requests
        client = cast("opensearchpy.OpenSearch", self.client)
        self.sink = ImageIndex(client, self.alias, longest_request=1.0)

    def document(self, image_id: str) -> Mapping[str, Any] | None:
        found = self.client.documents.get(image_id)
        if found is None or found.source is None:
            return None
        return {"_id": image_id, "_version": found.version, "_source": found.source}

    def stored(self, image_id: str) -> Stored | None:
        found = self.document(image_id)
        return None if found is None else stored_in(found, image_id)

    def setting(self, **settings: Any) -> None:
        self.client.indices.put_settings(index=self.alias, body={"index": settings})

    def write_behind_our_back(self, image_id: str, **fields: Any) -> None:
        self.client.update(index=self.alias, id=image_id, body={"doc": fields})

    def paths(self) -> list[tuple[str, str]]:
        return [(method, url) for method, url, _ in self.requests]


@pytest.fixture(params=[True, False], ids=["parameters honoured", "parameters ignored"])
def index(request: pytest.FixtureRequest) -> FakeIndexStore:
    return FakeIndexStore(honours_parameters=request.param)


class TestImageIndex(SinkContract):
    @pytest.fixture
    @override
    def store(self, index: FakeIndexStore) -> Store:
        return index


class TestRequests(test_opensearch_sink.TestRequests):
    pass


class TestDocuments(test_opensearch_sink.TestDocuments):
    pass


class TestGuard(test_opensearch_sink.TestGuard):
    test_a_purge_without_the_alias_makes_no_index = None  # type: ignore[assignment]  # makes an engine's


class TestDeployment(test_opensearch_sink.TestDeployment):
    # They need an engine of their own, or settings that the fake does not know.
    test_an_index_blocked_for_writing_is_a_misconfiguration = None  # type: ignore[assignment]
    test_a_setting_that_refuses_good_documents_stops_the_stream = None
    test_a_missing_alias_is_a_misconfiguration_and_makes_no_index = None  # type: ignore[assignment]
    test_an_index_in_the_place_of_the_alias_is_a_misconfiguration = None  # type: ignore[assignment]
    test_a_closed_index_is_a_misconfiguration = None  # type: ignore[assignment]
    test_a_mapping_that_is_not_ours_stops_the_stream = None
    test_one_field_defined_otherwise_is_named_with_both_definitions = None  # type: ignore[assignment]
    test_an_analyzer_defined_otherwise_is_named_with_both_definitions = None  # type: ignore[assignment]
    test_an_index_that_does_not_answer_is_tried_again_later = None  # type: ignore[assignment]


def test_the_audit_reads_the_fake_as_it_reads_the_index(index: FakeIndexStore) -> None:
    one, gone = change("T1", 1), change("T2", 2, DELETED)
    write(index.sink, one, gone)
    entries = IndexReader(cast("opensearchpy.OpenSearch", index.client), index.alias)
    expected = [as_entry(one), as_entry(gone)]
    assert list(entries.scan()) == expected
    assert list(entries.lookup(["T1", "T2", "T3"]).values()) == expected


@pytest.mark.parametrize("forgets", ["after a minute", "at a restart"])
def test_the_version_of_a_deleted_document_is_forgotten(
    index: FakeIndexStore, forgets: str
) -> None:
    """docs/internals/facts.md, OpenSearch: deleted at 6, put at 5: 409 at once, 201 later."""
    write(index.sink, change("T1", 4))
    delete = {"_id": "T1", "version": 6, "version_type": "external", "require_alias": True}
    index.client.bulk(body=msgspec.json.encode({"delete": delete}) + b"\n", index="images")
    (at_once,) = write(index.sink, change("T1", 5))
    assert at_once != Applied()
    if forgets == "at a restart":
        index.client.restart()
    else:
        index.client.now += GC_DELETES_SECONDS
    assert write_each(index.sink, change("T1", 5), change("T1", 4)) == [Applied(), Stale()]


def test_a_removal_is_one_part_of_a_request_though_it_has_two_operations() -> None:
    class SecondPartFails:
        asked: Sequence[int] = ()

        def send[T](self, apply: Callable[[], T]) -> T:
            return apply()

        def part_failures(self, parts: int, codes: Sequence[str]) -> Mapping[int, PartFailure]:
            self.asked = [*self.asked, parts]
            return {1: PartFailure(codes[0], applied=False)} if parts > 1 else {}

    connection = SecondPartFails()
    index = cast("opensearchpy.OpenSearch", OpenSearch("images", connection=connection))
    corrections = Corrections(index, "images")
    assert corrections.remove([Removal("T0", 1)]) == [Applied()]
    first, second = corrections.remove([Removal("T0", 1), Removal("T1", 1)])
    assert first == Applied()
    assert isinstance(second, Failed)
    assert connection.asked == [1, 2]


def test_an_alias_of_several_indices_is_removed_from_all_and_comes_back_as_it_was() -> None:
    nodes = OpenSearch(INDEX).nodes
    first = nodes.live
    first.aliases[INDEX] = {"is_write_index": True}
    second = nodes.add("another", first.mappings, first.settings)
    second.aliases[INDEX] = {}
    nodes.aliases_changed()
    nodes.hide()
    assert (nodes.is_writable, nodes.live) == (False, first)
    nodes.show()
    assert (nodes.is_writable, nodes.live) == (True, first)
    assert (first.aliases[INDEX], second.aliases[INDEX]) == ({"is_write_index": True}, {})
