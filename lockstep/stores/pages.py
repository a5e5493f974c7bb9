"""The pages: what a store answers to the version pass, from its bytes straight to entries.

The clients' own way, a dictionary for each value, costs more than all the rest of an audit. Here
both say what they expect; a page with anything else in it is left to them, and to `entry`.
"""

from collections.abc import Mapping, MutableMapping
from typing import Any

import msgspec
from msgspec import Raw, UnsetType
from opensearchpy.serializer import JSONSerializer

from lockstep.stores.entry import Entry, Moment, Number, checked


class _Text(msgspec.Struct, gc=False):
    S: str


class _Whole(msgspec.Struct, gc=False):
    N: Number


class _Moment(msgspec.Struct, gc=False):
    N: Moment


class _Truth(msgspec.Struct, gc=False):
    BOOL: bool


class _Item(msgspec.Struct, gc=False):
    """An item of ours, as DynamoDB spells it."""

    image_id: _Text
    version: _Whole
    deleted: _Truth
    arrived_at: _Moment
    digest: _Text | None = None
    expires_at: _Whole | None = None


class _ScanPage(msgspec.Struct, rename="pascal"):
    items: list[_Item]
    last_evaluated_key: Raw | UnsetType = msgspec.UNSET
    consumed_capacity: Raw | UnsetType = msgspec.UNSET


class _RestOfScanPage(msgspec.Struct, rename="pascal"):
    last_evaluated_key: Raw | UnsetType
    consumed_capacity: Raw | UnsetType


class _Source(msgspec.Struct, gc=False):
    """A document of ours, as the version pass asks for it."""

    image_id: str
    version: Number
    deleted: bool
    arrived_at: Moment
    digest: str | None = None
    expires_at: Number | None = None


class Hit(msgspec.Struct, gc=False):
    """A document found, and the version that OpenSearch guards it by."""

    image_id: str = msgspec.field(name="_id")
    guard: int = msgspec.field(name="_version")
    source: _Source = msgspec.field(name="_source")
    sort: tuple[Any, ...]


class _Total(msgspec.Struct):
    value: int


class _Hits(msgspec.Struct):
    hits: list[Hit]
    total: _Total | None = None


class _Shards(msgspec.Struct):
    failed: int


class SearchPage(msgspec.Struct):
    """An answer to a search of the version pass."""

    timed_out: bool
    shards: _Shards = msgspec.field(name="_shards")
    hits: _Hits

    def entries(self) -> list[Entry]:
        """What it found."""
        return [_of_hit(hit, hit.source) for hit in self.hits.hits]


class SearchPages(JSONSerializer):
    """OpenSearch's answers, for a client of the version pass: its pages as `SearchPage`."""

    def loads(self, s: str) -> Any:
        """See `JSONSerializer.loads`."""
        try:
            return _search_pages.decode(s)
        except (msgspec.MsgspecError, UnicodeEncodeError):
            return super().loads(s)


class Place(msgspec.Struct, frozen=True):
    """Where in a search a page stands: how many hits it has, which is the last, of how many."""

    complete: bool
    hits: int
    last: Any
    total: int | None


def place_of(answer: SearchPage | Mapping[str, Any]) -> Place:
    """The place of a page, whoever decoded it."""
    if isinstance(answer, SearchPage):
        hits, found = answer.hits.hits, answer.hits.total
        return Place(
            not answer.timed_out and not answer.shards.failed,
            len(hits),
            hits[-1].sort if hits else None,
            None if found is None else found.value,
        )
    there = answer["hits"]["hits"]
    return Place(
        not answer["timed_out"] and not answer["_shards"]["failed"],
        len(there),
        there[-1]["sort"] if there else None,
        answer["hits"].get("total", {}).get("value"),
    )


def decode_scan(
    response_dict: MutableMapping[str, Any],
    customized_response_dict: MutableMapping[str, Any],
    **_: object,
) -> None:
    """For botocore's `before-parse.dynamodb.Scan`: the items become `Entries`, already decoded."""
    decoded = scanned(response_dict["body"])
    if decoded is not None:
        customized_response_dict["Entries"], response_dict["body"] = decoded


def scanned(body: bytes) -> tuple[list[Entry], bytes] | None:
    """The entries in a page of a scan, and what else it says; None: not all of them are ours."""
    try:
        page = _scan_pages.decode(body)
    except msgspec.MsgspecError:
        return None
    rest = _RestOfScanPage(page.last_evaluated_key, page.consumed_capacity)
    return [_of_item(item) for item in page.items], msgspec.json.encode(rest)


def _of_item(item: _Item) -> Entry:
    version, digest, expires_at = item.version.N, item.digest, item.expires_at
    return checked(
        item.image_id.S,
        version,
        item.deleted.BOOL,
        None if digest is None else digest.S,
        None if expires_at is None else expires_at.N,
        version,
        item.arrived_at.N,
    )


def _of_hit(hit: Hit, source: _Source) -> Entry:
    if source.image_id != hit.image_id:
        return Entry(hit.image_id, malformed=f"image_id is {source.image_id!r}")
    return checked(
        hit.image_id,
        source.version,
        source.deleted,
        source.digest,
        source.expires_at,
        hit.guard,
        source.arrived_at,
    )


# DynamoDB writes numbers as texts, hence not strictly.
_scan_pages = msgspec.json.Decoder(_ScanPage, strict=False)
_search_pages = msgspec.json.Decoder(SearchPage)
