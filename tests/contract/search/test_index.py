"""The index and its aliases: made once, given what it lacks, never replaced; on OpenSearch."""

import threading
import uuid
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec
import pytest
from opensearchpy import OpenSearch

from functions.write_to_es.index import (
    Added,
    Created,
    Unchanged,
    WrongAliasesError,
    check_index,
    definition,
    ensure_index,
    index_differences,
)
from functions.write_to_es.settings import IndexSettings
from shared.sink import MisconfiguredError


@pytest.fixture
def client(opensearch_endpoint: str) -> OpenSearch:
    return OpenSearch([opensearch_endpoint], timeout=120, max_retries=0)


@pytest.fixture
def alias(client: OpenSearch) -> Iterator[str]:
    name = f"images-{uuid.uuid4()}"
    yield name
    client.indices.delete(index=f"{name}*")


def changed(path: str, value: Any) -> dict[str, Any]:
    """Our definition with one part of it replaced, or without it where the value is None."""
    whole: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(definition()))
    *parents, last = path.split(".")
    part = whole
    for parent in parents:
        part = part[parent]
    if value is None:
        del part[last]
    else:
        part[last] = value
    return whole


def aliases_of(client: OpenSearch, alias: str) -> Mapping[str, Any]:
    ((_, its),) = client.indices.get_alias(index=f"{alias}-000001").items()
    aliases: Mapping[str, Any] = its["aliases"]
    return aliases


def refreshed(client: OpenSearch, alias: str) -> str | None:
    ((_, its),) = client.indices.get_settings(index=alias).items()
    interval: str | None = its["settings"]["index"].get("refresh_interval")
    return interval


class TestFirstIndex:
    def test_it_is_made_with_its_mapping_and_both_aliases(
        self, client: OpenSearch, alias: str
    ) -> None:
        done = ensure_index(client, alias)
        assert done == Created(f"{alias}-000001", (alias, f"{alias}-live"))
        assert str(done) == f"created index {alias}-000001 behind {alias} and {alias}-live"
        assert aliases_of(client, alias) == {
            alias: {"is_write_index": True},
            f"{alias}-live": {"filter": {"term": {"deleted": False}}},
        }

    def test_opensearch_shows_mapping_and_analysis_just_as_our_file_says_them(
        self, client: OpenSearch, alias: str
    ) -> None:
        ensure_index(client, alias)
        shown = client.indices.get(index=alias)[f"{alias}-000001"]
        assert shown["mappings"] == definition()["mappings"]
        assert shown["settings"]["index"]["analysis"] == definition()["settings"]["analysis"]
        assert list(index_differences(shown)) == []

    def test_a_second_time_nothing_changes(self, client: OpenSearch, alias: str) -> None:
        ensure_index(client, alias)
        before = client.indices.get(index=alias)
        assert ensure_index(client, alias) == Unchanged(f"{alias}-000001")
        assert client.indices.get(index=alias) == before

    def test_several_at_once_agree(self, client: OpenSearch, alias: str) -> None:
        together = threading.Barrier(4)

        def deploy() -> Created | Added | Unchanged:
            together.wait()
            return ensure_index(client, alias)

        with ThreadPoolExecutor(4) as pool:
            done = [one.result() for one in [pool.submit(deploy) for _ in range(4)]]
        assert sorted(type(one).__name__ for one in done) == ["Created"] + ["Unchanged"] * 3


class TestRefreshing:
    def test_what_is_written_is_found_as_soon_as_was_asked_for(
        self, client: OpenSearch, alias: str
    ) -> None:
        ensure_index(client, alias, IndexSettings(refresh_interval="700ms"))
        assert refreshed(client, alias) == "700ms"
        assert ensure_index(client, alias, IndexSettings(refresh_interval="700ms")) == Unchanged(
            f"{alias}-000001"
        )
        done = ensure_index(client, alias, IndexSettings(refresh_interval="300ms"))
        assert done == Added(f"{alias}-000001", ("refresh_interval 300ms",))
        assert refreshed(client, alias) == "300ms"

    def test_without_a_word_about_it_it_stays_as_an_operator_set_it(
        self, client: OpenSearch, alias: str
    ) -> None:
        ensure_index(client, alias)
        assert refreshed(client, alias) is None
        client.indices.put_settings(index=alias, body={"index": {"refresh_interval": "9s"}})
        assert ensure_index(client, alias) == Unchanged(f"{alias}-000001")
        assert refreshed(client, alias) == "9s"


def settings_of(client: OpenSearch, alias: str) -> Mapping[str, str]:
    ((_, its),) = client.indices.get_settings(index=alias).items()
    settings: Mapping[str, str] = its["settings"]["index"]
    return settings


class TestShardsAndReplicas:
    def test_a_new_index_has_as_many_as_the_stack_wants(
        self, client: OpenSearch, alias: str
    ) -> None:
        wanted = IndexSettings(shards=5, replicas="auto")
        ensure_index(client, alias, wanted)
        its = settings_of(client, alias)
        assert its["number_of_shards"] == "5"
        # One node has no room for replicas: an index that wants some would never be green.
        assert its["number_of_replicas"] == "0"
        health = client.cluster.health(index=alias, params={"wait_for_status": "green"})
        assert health["status"] == "green"
        assert ensure_index(client, alias, wanted) == Unchanged(f"{alias}-000001")

    def test_an_existing_index_gets_its_replicas(self, client: OpenSearch, alias: str) -> None:
        ensure_index(client, alias)
        by_itself = settings_of(client, alias)
        assert by_itself["number_of_replicas"] == "1"  # the default of OpenSearch
        done = ensure_index(client, alias, IndexSettings(replicas="auto"))
        assert done == Added(f"{alias}-000001", ("auto_expand_replicas 0-1",))
        done = ensure_index(client, alias, IndexSettings(replicas="2"))
        added = ("auto_expand_replicas false", "number_of_replicas 2")
        assert done == Added(f"{alias}-000001", added)
        assert settings_of(client, alias)["number_of_replicas"] == "2"
        again = ensure_index(client, alias, IndexSettings(replicas="2"))
        assert again == Unchanged(f"{alias}-000001")
        assert ensure_index(client, alias) == Unchanged(f"{alias}-000001")

    def test_another_number_of_shards_is_told_with_the_command_that_brings_it(
        self, client: OpenSearch, alias: str
    ) -> None:
        ensure_index(client, alias)
        wanted = IndexSettings(shards=5)
        done = ensure_index(client, alias, wanted)
        assert str(done) == (
            f"index {alias}-000001 is up to date; it has 1 shard, and the stack wants 5: run "
            "`lockstep rebuild --apply`, which builds a new index"
        )
        both = ensure_index(client, alias, IndexSettings(shards=5, refresh_interval="2s"))
        assert str(both).endswith(
            "refresh_interval 2s" + str(done).removeprefix(f"index {alias}-000001 is up to date")
        )
        assert settings_of(client, alias)["number_of_shards"] == "1"
        (warning,) = check_index(client, alias, wanted).warnings
        assert warning == f"index {alias}-000001: " + str(done).split("; ")[1]
        assert check_index(client, alias).warnings == ()


class TestOlderIndex:
    def test_it_gets_the_fields_it_lacks_and_keeps_its_documents(
        self, client: OpenSearch, alias: str
    ) -> None:
        older = changed("mappings.properties.checksum", None)
        del older["mappings"]["properties"]["name"]["fields"]["stem"]
        _make(client, alias, older)
        client.index(index=alias, id="T1", body={"name": "before"}, params={"refresh": "true"})
        done = ensure_index(client, alias)
        assert done == Added(
            f"{alias}-000001",
            ("mappings.properties.name.fields.stem", "mappings.properties.checksum"),
        )
        shown = client.indices.get_mapping(index=alias)[f"{alias}-000001"]["mappings"]
        assert shown == definition()["mappings"]
        assert client.count(index=alias)["count"] == 1
        assert ensure_index(client, alias) == Unchanged(f"{alias}-000001")

    def test_it_gets_the_reading_alias_it_lacks(self, client: OpenSearch, alias: str) -> None:
        ensure_index(client, alias)
        client.indices.delete_alias(index=f"{alias}-000001", name=f"{alias}-live")
        done = ensure_index(client, alias)
        assert done == Added(f"{alias}-000001", (f"alias {alias}-live",))
        live = aliases_of(client, alias)[f"{alias}-live"]
        assert live == {"filter": {"term": {"deleted": False}}}

    @pytest.mark.parametrize(
        ("path", "value"),
        [
            ("mappings.properties.version", {"type": "keyword"}),
            ("mappings.properties.attributes", {"type": "flat_object"}),
            ("mappings.properties.name.analyzer", "stem"),
            ("mappings.properties.digest", {"type": "keyword", "ignore_above": 8}),
            ("mappings.dynamic", "true"),
        ],
    )
    def test_a_field_defined_otherwise_is_named_and_left_alone(
        self, client: OpenSearch, alias: str, path: str, value: Any
    ) -> None:
        _make(client, alias, changed(path, value))
        before = client.indices.get(index=alias)
        with pytest.raises(MisconfiguredError, match=rf"{path}.* expected .*a new index"):
            ensure_index(client, alias)
        assert client.indices.get(index=alias) == before

    @pytest.mark.parametrize(
        ("part", "key", "value"),
        [
            ("analyzer.stem", "filter", ["lowercase", "english"]),
            ("analyzer.prefix", "tokenizer", "whitespace"),
            ("filter.prefixes", "max_gram", "15"),
            ("char_filter.file", "pattern", "^.*:"),
        ],
    )
    def test_an_analysis_that_is_not_ours_is_named_and_left_alone(
        self, client: OpenSearch, alias: str, part: str, key: str, value: Any
    ) -> None:
        _make(client, alias, changed(f"settings.analysis.{part}.{key}", value))
        before = client.indices.get(index=alias)
        with pytest.raises(MisconfiguredError, match=rf"analysis.{part} is .*a new index"):
            ensure_index(client, alias)
        assert client.indices.get(index=alias) == before

    def test_a_field_that_needs_a_new_analyzer_needs_a_new_index(
        self, client: OpenSearch, alias: str
    ) -> None:
        older = changed("mappings.properties.url.fields", {})
        del older["settings"]["analysis"]["analyzer"]["file_name"]
        _make(client, alias, older)
        with pytest.raises(MisconfiguredError, match=r"analyzer.file_name is null.*a new index"):
            ensure_index(client, alias)

    def test_analyzers_of_others_stay(self, client: OpenSearch, alias: str) -> None:
        theirs = {"type": "custom", "tokenizer": "keyword"}
        _make(client, alias, changed("settings.analysis.analyzer.theirs", theirs))
        assert ensure_index(client, alias) == Unchanged(f"{alias}-000001")

    def test_a_field_for_which_there_is_no_room_needs_a_new_index(
        self, client: OpenSearch, alias: str
    ) -> None:
        older = changed("mappings.properties.url.fields", {})
        fields = msgspec.json.encode(older["mappings"]).count(b'"type"')
        older["settings"]["mapping.total_fields.limit"] = fields
        _make(client, alias, older)
        with pytest.raises(MisconfiguredError, match=r"cannot get .*url.fields.file .*a new index"):
            ensure_index(client, alias)

    def test_fields_of_others_stay(self, client: OpenSearch, alias: str) -> None:
        ensure_index(client, alias)
        client.indices.put_mapping(
            index=alias, body={"properties": {"colour": {"type": "keyword"}}}
        )
        assert ensure_index(client, alias) == Unchanged(f"{alias}-000001")


class TestWhatADeploymentDoesNotCorrect:
    def test_a_name_that_opensearch_does_not_accept(self, client: OpenSearch) -> None:
        with pytest.raises(MisconfiguredError, match="index Images-000001 cannot be created"):
            ensure_index(client, "Images")

    @pytest.mark.parametrize("suffix", ["", "-live"])
    def test_an_index_in_the_place_of_an_alias(
        self, client: OpenSearch, alias: str, suffix: str
    ) -> None:
        client.indices.create(index=alias + suffix)
        with pytest.raises(WrongAliasesError, match=rf"{suffix} is an index, not .*Delete it"):
            ensure_index(client, alias)

    def test_an_index_that_lost_its_alias(self, client: OpenSearch, alias: str) -> None:
        client.indices.create(index=f"{alias}-000001")
        with pytest.raises(WrongAliasesError, match=rf"{alias} does not: run `lockstep rebuild"):
            ensure_index(client, alias)

    def test_an_alias_of_two_indices(self, client: OpenSearch, alias: str) -> None:
        ensure_index(client, alias)
        client.indices.create(index=f"{alias}-000002", body={"aliases": {alias: {}}})
        with pytest.raises(WrongAliasesError, match=f"expected only {alias}-000001: run `lockstep"):
            ensure_index(client, alias)

    def test_an_alias_of_two_indices_of_which_none_is_for_writing(
        self, client: OpenSearch, alias: str
    ) -> None:
        for number in (1, 2):
            client.indices.create(index=f"{alias}-{number:06}", body={"aliases": {alias: {}}})
        with pytest.raises(
            WrongAliasesError, match="none of them for writing: remove from it all but"
        ):
            ensure_index(client, alias)

    def test_an_alias_that_forbids_writing(self, client: OpenSearch, alias: str) -> None:
        ensure_index(client, alias)
        client.indices.put_alias(
            index=f"{alias}-000001", name=alias, body={"is_write_index": False}
        )
        with pytest.raises(WrongAliasesError, match="forbids writing"):
            ensure_index(client, alias)

    def test_a_reading_alias_that_shows_deleted_images(
        self, client: OpenSearch, alias: str
    ) -> None:
        ensure_index(client, alias)
        client.indices.delete_alias(index=f"{alias}-000001", name=f"{alias}-live")
        client.indices.put_alias(index=f"{alias}-000001", name=f"{alias}-live")
        with pytest.raises(WrongAliasesError, match="does not hide deleted images"):
            ensure_index(client, alias)

    def test_a_reading_alias_of_another_index(self, client: OpenSearch, alias: str) -> None:
        ensure_index(client, alias)
        client.indices.delete_alias(index=f"{alias}-000001", name=f"{alias}-live")
        other = changed("mappings.dynamic", "strict") | {"aliases": {f"{alias}-live": {}}}
        client.indices.create(index=f"{alias}-000002", body=other)
        with pytest.raises(WrongAliasesError, match=f"but the consumers write to {alias}-000001"):
            ensure_index(client, alias)


def _make(client: OpenSearch, alias: str, body: Mapping[str, Any]) -> None:
    aliases = {alias: {}, f"{alias}-live": {"filter": {"term": {"deleted": False}}}}
    client.indices.create(index=f"{alias}-000001", body={**body, "aliases": aliases})
