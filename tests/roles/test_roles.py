"""The domain's own roles, on the security plugin itself: each may do what it must, and no more."""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import pytest
from opensearchpy import OpenSearch
from opensearchpy.exceptions import AuthorizationException, NotFoundError

from functions.write_to_es.engine import check_engine
from functions.write_to_es.index import check_index, ensure_index
from functions.write_to_es.roles import RoleName, ensure_roles
from functions.write_to_es.sink import ImageIndex
from lockstep.rebuild.indices import Indices
from lockstep.stores.corrections import Corrections, Removal
from lockstep.stores.index import IndexReader
from shared.change import Change
from shared.outcome import Applied, Duplicate
from shared.sink import MisconfiguredError
from tests.builders import change, purge_of, without_held
from tests.roles.conftest import MASTER, USERS

ALIAS = "images"
LIVE = "images-live"
# An index of somebody else in the same domain.
OTHER = "other"
LOOKUP: Any = {"index": OTHER, "id": "1", "path": "secret"}
ALL: Any = {"query": {"match_all": {}}}

type ClientOf = Callable[[str], OpenSearch]


@pytest.fixture(scope="session")
def secured(client_of: ClientOf) -> ClientOf:
    """An index with an image and a tombstone, written by whoever may."""
    master = client_of(MASTER)
    ensure_index(master, ALIAS)
    members: dict[RoleName, Sequence[str]] = {
        "writers": USERS["writer"],
        "readers": USERS["reader"],
        "dashboards": USERS["reader"],
        "auditors": USERS["auditor"],
        "operators": USERS["operator"],
    }
    for _ in range(2):
        assert ensure_roles(master, ALIAS, members) == [
            "images_writers",
            "images_readers",
            "images_dashboards",
            "images_auditors",
            "images_operators",
        ]
    outcomes = send(client_of("writer"), change("there", 1), change("gone", 2, "image.deleted"))
    assert outcomes == [Applied(), Applied()]
    master.index(index=OTHER, id="1", body={"secret": "hidden"}, params={"refresh": "true"})
    master.indices.refresh(index=ALIAS)
    return client_of


def send(client: OpenSearch, *changes: Change) -> list[Any]:
    return list(ImageIndex(client, ALIAS, longest_request=0).send(changes))


def test_a_writer_does_all_that_the_consumer_does(secured: ClientOf) -> None:
    sink = ImageIndex(secured("writer"), ALIAS, longest_request=0)
    assert without_held(sink.send([change("there", 1)])) == [Duplicate()]
    sink.check()


def test_a_writer_purges(secured: ClientOf) -> None:
    tombstone = change("past", 3, "image.deleted")
    writer = secured("writer")
    assert send(writer, tombstone) == [Applied()]
    assert send(writer, purge_of(tombstone)) == [Applied()]
    assert not secured(MASTER).exists(index=ALIAS, id="past")


def test_an_operator_corrects(secured: ClientOf) -> None:
    corrections = Corrections(secured("operator"), ALIAS)
    assert corrections.overwrite([change("stray", 4)]) == [Applied()]
    assert corrections.remove([Removal("stray", 4)]) == [Applied()]
    secured(MASTER).indices.refresh(index=ALIAS)


@pytest.mark.parametrize(
    "forbidden",
    [
        lambda client: client.search(index=ALIAS),
        lambda client: client.indices.delete(index="images-000001"),
        lambda client: client.indices.put_mapping(index=ALIAS, body={"properties": {}}),
        lambda client: client.indices.put_alias(index="images-000001", name="mine"),
        lambda client: client.index(index="other", body={}),
    ],
)
def test_a_writer_does_nothing_else(
    secured: ClientOf, forbidden: Callable[[OpenSearch], object]
) -> None:
    with pytest.raises(AuthorizationException):
        forbidden(secured("writer"))


@pytest.mark.parametrize("name", [LIVE, ALIAS, "images-000001", "images-*"])
def test_a_reader_never_sees_a_tombstone_by_whichever_name(secured: ClientOf, name: str) -> None:
    reader = secured("reader")
    hits = reader.search(index=name, body=ALL)["hits"]["hits"]
    assert [one["_id"] for one in hits] == ["there"]
    # As Dashboards asks: the index in the body.
    searches = [{"index": name}, ALL]
    (answer,) = reader.msearch(body=searches)["responses"]
    assert answer["hits"]["total"]["value"] == 1
    assert reader.count(index=name)["count"] == 1


def test_a_reader_cannot_get_a_tombstone_by_its_id(secured: ClientOf) -> None:
    with pytest.raises(NotFoundError):
        secured("reader").get(index="images-000001", id="gone")


def test_a_reader_makes_charts_of_the_fields(secured: ClientOf) -> None:
    reader = secured("reader")
    assert "uploaded_by" in reader.field_caps(index=LIVE, fields="*")["fields"]
    assert reader.index(index=".kibana_1", id="chart", body={"of": "sizes"})["result"] == "created"


@pytest.mark.parametrize(
    "forbidden",
    [
        lambda client: client.index(index="images-000001", id="mine", body={"image_id": "mine"}),
        lambda client: client.delete(index="images-000001", id="there"),
        lambda client: client.indices.delete(index="images-000001"),
        lambda client: client.search(index=".opendistro_security"),
        lambda client: client.transport.perform_request("GET", "/_plugins/_security/api/roles"),
    ],
)
def test_a_reader_changes_nothing(
    secured: ClientOf, forbidden: Callable[[OpenSearch], object]
) -> None:
    with pytest.raises(AuthorizationException):
        forbidden(secured("reader"))


def test_an_operator_reads_all_that_there_is(secured: ClientOf) -> None:
    entries = list(IndexReader(secured("operator"), ALIAS).scan())
    assert {one.image_id for one in entries} == {"there", "gone"}


def test_an_auditor_reads_all_that_there_is(secured: ClientOf) -> None:
    auditor = secured("auditor")
    check_engine(auditor.transport)
    assert check_index(auditor, ALIAS).problems == ()
    auditor.indices.refresh(index=ALIAS)
    reader = IndexReader(auditor, ALIAS)
    both = {"there", "gone"}
    assert {one.image_id for one in reader.scan()} == both
    assert set(reader.sample(10, lambda: 0.5)) == both
    assert reader.lookup(["there", "gone"]).keys() == both
    assert reader.count() == len(both)


@pytest.mark.parametrize(
    "forbidden",
    [
        lambda client: client.index(index="images-000001", id="mine", body={"image_id": "mine"}),
        lambda client: client.delete(index="images-000001", id="there"),
        lambda client: client.indices.put_alias(index="images-000001", name="mine"),
        lambda client: client.indices.delete(index="images-000001"),
    ],
)
def test_an_auditor_changes_nothing(
    secured: ClientOf, forbidden: Callable[[OpenSearch], object]
) -> None:
    with pytest.raises(AuthorizationException):
        forbidden(secured("auditor"))


@pytest.mark.parametrize("user", ["reader", "auditor", "operator"])
@pytest.mark.parametrize(
    "forbidden",
    [
        lambda client, _: client.search(),
        lambda client, _: client.search(index=OTHER),
        lambda client, _: client.create_pit(index=OTHER, params={"keep_alive": "1m"}),
        lambda client, pit: client.search(body={"pit": {"id": pit}}),
        lambda client, _: client.search(
            index=ALIAS, body={"query": {"terms": {"image_id": LOOKUP}}}
        ),
    ],
)
def test_nobody_reads_an_index_of_somebody_else(
    secured: ClientOf, user: str, forbidden: Callable[[OpenSearch, str], object]
) -> None:
    others: Any = secured(MASTER).create_pit(index=OTHER, params={"keep_alive": "1m"})
    with pytest.raises(AuthorizationException):
        forbidden(secured(user), others["pit_id"])


def test_an_operator_makes_an_index_and_switches_to_it(secured: ClientOf) -> None:
    operator = secured("operator")
    operator.indices.create(index="images-000002")
    there = {"index": "images-000002", "alias": "images-next"}
    operator.indices.update_aliases(body={"actions": [{"add": there}]})
    operator.indices.delete(index="images-000002")


def test_an_operator_checks_the_aliases_and_follows_each_shard(secured: ClientOf) -> None:
    operator = secured("operator")
    assert check_index(operator, ALIAS).problems == ()
    indices = Indices(operator, ALIAS)
    live = indices.read().live
    assert live is not None
    shards = indices.shards(live)
    look = shards.look()
    empty = {shard: msgspec.structs.replace(mark, number=-1) for shard, mark in look.marks.items()}
    written = shards.written_since(empty, look)
    assert written is not None
    assert {hit["_id"] for hit in written} == {"there", "gone"}
    indices.switch(live)
    assert check_index(operator, ALIAS).problems == ()


def test_whoever_has_no_role_stops_the_stream(secured: ClientOf) -> None:
    with pytest.raises(MisconfiguredError):
        send(secured("nobody"), change("there", 3))
    with pytest.raises(AuthorizationException):
        secured("nobody").search(index=LIVE)
