"""Pages that are decoded straight from bytes are equal to those that the clients decode."""

from typing import Any

import msgspec
import pytest

from lockstep.stores.entry import (
    Entry,
    from_document,
    from_item,
    from_whole_document,
    from_whole_item,
)
from lockstep.stores.pages import SearchPage, SearchPages, decode_scan, scanned, summary_of
from shared.horizon import end_of_tombstone
from tests.unit.audit.stand import OLD, STAMP, a_change, a_document, an_item

FIELDS = ("image_id", "version", "deleted", "digest", "expires_at", "arrived_at")


def an_items_fields(image_id: str, content: str | None, **fields: Any) -> dict[str, Any]:
    """What a scan of the version pass shows of an item."""
    item = an_item(a_change(STAMP, content, arrived=OLD, image_id=image_id))
    return {name: item[name] for name in FIELDS if name in item} | fields


def a_hit(
    image_id: str, content: str | None, checked_version: int = STAMP, /, **fields: Any
) -> dict[str, Any]:
    """What a search of the version pass shows of a document."""
    change = a_change(STAMP, content, arrived=OLD, image_id=image_id)
    source = a_document(change, checked_version, **fields).source or {}
    shown = {name: source[name] for name in FIELDS if name in source}
    return {
        "_id": image_id,
        "_version": checked_version,
        "_source": shown,
        "sort": [3],
        "_score": None,
    }


def a_scan(*items: dict[str, Any], **more: Any) -> bytes:
    return msgspec.json.encode({"Items": items, "Count": len(items), **more})


def a_search(*hits: dict[str, Any], **more: Any) -> str:
    page = {"timed_out": False, "_shards": {"failed": 0}, "hits": {"hits": hits}, **more}
    return msgspec.json.encode(page).decode()


def decoded(text: str) -> Any:
    return SearchPages().loads(text)


def test_images_and_tombstones_become_the_same_entries_as_with_the_clients() -> None:
    items = [an_items_fields("a", "x"), an_items_fields("b", None), an_items_fields("c", "ü")]
    found = scanned(a_scan(*items))
    assert found is not None
    assert found[0] == [from_item(item) for item in items]
    hits = [a_hit("a", "x"), a_hit("b", None), a_hit("c", "ü", STAMP + 1)]
    page = decoded(a_search(*hits))
    assert isinstance(page, SearchPage)
    assert page.entries() == [from_document(hit) for hit in hits]
    assert [one.checked_version for one in page.entries()] == [STAMP, STAMP, STAMP + 1]


def test_a_document_with_a_routing_is_malformed_under_a_name_of_its_own_either_way() -> None:
    hits = [a_hit("a", "x") | {"_routing": "é/1"}, a_hit("b", None) | {"_routing": "b"}]
    entries = decoded(a_search(*hits)).entries()
    assert entries == [from_document(hit) for hit in hits]
    assert [one.image_id for one in entries] == ["a?routing=%C3%A9%2F1", "b?routing=b"]
    assert [one.malformed for one in entries] == [
        "it was written with the routing 'é/1'",
        "it was written with the routing 'b'",
    ]
    assert [(one.version, one.deleted) for one in entries] == [(STAMP, False), (STAMP, True)]


def test_contradicting_fields_are_malformed_either_way() -> None:
    item = an_items_fields("a", "x", deleted={"BOOL": True})
    hits = [a_hit("a", "x", deleted=True), a_hit("b", "x", image_id="somebody-else")]
    found = scanned(a_scan(item))
    assert found is not None
    assert found[0] == [from_item(item)]
    entries = decoded(a_search(*hits)).entries()
    assert entries == [from_document(hit) for hit in hits]
    assert all(entry.malformed for entry in [*found[0], *entries])


@pytest.mark.parametrize(
    "fields",
    [
        {"version": {"S": "5"}},
        {"version": {"N": "5.5"}},
        {"version": {"N": "1E+100"}},
        {"version": {"N": "-1"}},
        {"version": {"N": "123456789012345678901234567890"}},
        {"version": {"L": [{"N": "1"}]}},
        {"deleted": {"N": "0"}},
        {"digest": {"NULL": True}},
        {"expires_at": {"S": "soon"}},
        {"arrived_at": {"S": "1"}},
    ],
)
def test_a_page_with_a_foreign_item_is_left_to_the_client(fields: Any) -> None:
    whole = an_items_fields("a", "x")
    spoilt = an_items_fields("b", "x", **fields)
    assert from_item(spoilt).malformed
    assert scanned(a_scan(whole, spoilt)) is None
    response: dict[str, Any] = {"body": a_scan(whole, spoilt)}
    customized: dict[str, Any] = {}
    decode_scan(response, customized)
    assert (response, customized) == ({"body": a_scan(whole, spoilt)}, {})


@pytest.mark.parametrize(
    "fields", [{"version": "5"}, {"version": 5.5}, {"deleted": None}, {"expires_at": "soon"}]
)
def test_a_page_with_a_foreign_document_is_decoded_as_by_the_client(fields: Any) -> None:
    text = a_search(a_hit("a", "x"), a_hit("b", "x", **fields))
    page = decoded(text)
    assert page == msgspec.json.decode(text)
    assert summary_of(page).hits == 2


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b'{"__type": "ThrottlingException"}',
        b"\xff",
        b'{"Items": [{"image_id": {"S": "\xff"}}]}',
    ],
)
def test_an_answer_that_is_not_a_page_is_left_to_the_client(body: bytes) -> None:
    response: dict[str, Any] = {"body": body}
    customized: dict[str, Any] = {}
    decode_scan(response, customized)
    assert (response, customized) == ({"body": body}, {})


def test_the_position_and_the_capacity_of_a_scan_are_left_to_the_client() -> None:
    key, used = {"image_id": {"S": "a"}}, {"CapacityUnits": 1.5, "TableName": "t"}
    more = {"LastEvaluatedKey": key, "ConsumedCapacity": used}
    response: dict[str, Any] = {"body": a_scan(an_items_fields("a", "x"), **more)}
    customized: dict[str, Any] = {}
    decode_scan(response, customized)
    assert msgspec.json.decode(response["body"]) == more
    assert [one.image_id for one in customized["Entries"]] == ["a"]


@pytest.mark.parametrize("typed", [True, False])
@pytest.mark.parametrize(("timed_out", "failed"), [(False, 0), (True, 0), (False, 1)])
def test_both_decoders_give_the_same_summary(*, typed: bool, timed_out: bool, failed: int) -> None:
    hit = a_hit("a", "x")
    hits = {"hits": [hit], "total": {"value": 7, "relation": "eq"}}
    text = a_search(timed_out=timed_out, _shards={"failed": failed}, hits=hits)
    place = summary_of(decoded(text) if typed else msgspec.json.decode(text))
    assert place.complete == (not timed_out and not failed)
    assert (place.hits, list(place.last), place.total) == (1, [3], 7)
    nothing = summary_of(decoded(a_search()))
    assert (nothing.complete, nothing.hits, nothing.last, nothing.total) == (True, 0, None, None)


def test_an_entry_is_the_same_whoever_decoded_it() -> None:
    hit, item = a_hit("a", "x"), an_items_fields("a", "x")
    found = scanned(a_scan(item))
    assert found is not None
    (one,), (other,) = found[0], decoded(a_search(hit)).entries()
    assert isinstance(one, Entry)
    assert one == other


@pytest.mark.parametrize(("seconds", "malformed"), [(0, False), (1, False), (-1, True)])
def test_a_tombstone_that_ends_before_the_horizon_is_malformed_in_every_reading(
    seconds: int, *, malformed: bool
) -> None:
    ends = end_of_tombstone(round(OLD * 1000)) + seconds
    item = an_items_fields("a", None, expires_at={"N": str(ends)})
    found = scanned(a_scan(item))
    assert found is not None
    hit = a_hit("a", None, expires_at=ends)
    page = decoded(a_search(hit))
    assert isinstance(page, SearchPage)
    change = msgspec.structs.replace(a_change(STAMP, None, arrived=OLD), expires_at=ends)
    whole = from_whole_item(an_item(change))
    document = a_document(change)
    whole_hit = {"_id": "T1", "_version": document.version, "_source": document.source}
    entries = [*found[0], from_item(item), *page.entries(), from_document(hit)]
    entries += [whole, from_whole_document(whole_hit)]
    for entry in entries:
        assert ("must be kept until" in str(entry.malformed)) is malformed
