"""Decodes pages of a scan of versions and digests straight from bytes to entries.

The clients decode each value to a dictionary, which takes longer than the rest of an audit. This
module decodes the expected types only. The clients and `lockstep.stores.entry` decode a page with
other types.
"""

from collections.abc import Mapping, MutableMapping
from typing import Any

import msgspec
from msgspec import Raw, UnsetType
from opensearchpy.serializer import JSONSerializer

from lockstep.stores.entry import Entry, Moment, Number, checked, malformed
from lockstep.stores.routing import flaw_of, name_of
from shared.shortened import shortened


class _StringValue(msgspec.Struct, gc=False):
    S: str


class _NumberValue(msgspec.Struct, gc=False):
    N: Number


class _TimeValue(msgspec.Struct, gc=False):
    N: Moment


class _BooleanValue(msgspec.Struct, gc=False):
    BOOL: bool


class _Item(msgspec.Struct, gc=False):
    """An item that our sink wrote, in DynamoDB's low-level form."""

    image_id: _StringValue
    version: _NumberValue
    deleted: _BooleanValue
    arrived_at: _TimeValue
    digest: _StringValue | None = None
    expires_at: _NumberValue | None = None


class _ScanPage(msgspec.Struct, rename="pascal"):
    items: list[_Item]
    last_evaluated_key: Raw | UnsetType = msgspec.UNSET
    consumed_capacity: Raw | UnsetType = msgspec.UNSET


class _RestOfScanPage(msgspec.Struct, rename="pascal"):
    last_evaluated_key: Raw | UnsetType
    consumed_capacity: Raw | UnsetType


class _HitSource(msgspec.Struct, gc=False):
    """The requested fields of a document that our sink wrote."""

    image_id: str
    version: Number
    deleted: bool
    arrived_at: Moment
    digest: str | None = None
    expires_at: Number | None = None


class SearchHit(msgspec.Struct, gc=False):
    """A found document; `checked_version` is what OpenSearch's version check compares."""

    image_id: str = msgspec.field(name="_id")
    checked_version: int = msgspec.field(name="_version")
    source: _HitSource = msgspec.field(name="_source")
    sort: tuple[Any, ...]
    routing: str | None = msgspec.field(name="_routing", default=None)


class _Total(msgspec.Struct):
    value: int


class _Hits(msgspec.Struct):
    hits: list[SearchHit]
    total: _Total | None = None


class _Shards(msgspec.Struct):
    failed: int


class SearchPage(msgspec.Struct):
    """An answer to a search for versions and digests."""

    timed_out: bool
    shards: _Shards = msgspec.field(name="_shards")
    hits: _Hits

    def entries(self) -> list[Entry]:
        """The entries of the documents found."""
        return [_of_hit(hit, hit.source) for hit in self.hits.hits]


class SearchPages(JSONSerializer):
    """Decodes OpenSearch's answers for a client that scans versions: pages become `SearchPage`."""

    def loads(self, s: str) -> Any:
        """See `JSONSerializer.loads`."""
        try:
            return _search_pages.decode(s)
        except (msgspec.MsgspecError, UnicodeEncodeError):
            return super().loads(s)


class PageSummary(msgspec.Struct, frozen=True):
    """What a reader needs to request the next page: the hits, the last one, and the total."""

    complete: bool
    hits: int
    last: Any
    total: int | None


def summary_of(answer: SearchPage | Mapping[str, Any]) -> PageSummary:
    """The summary of a page, decoded by this module or by the client."""
    if isinstance(answer, SearchPage):
        hits, found = answer.hits.hits, answer.hits.total
        return PageSummary(
            not answer.timed_out and not answer.shards.failed,
            len(hits),
            hits[-1].sort if hits else None,
            None if found is None else found.value,
        )
    hits = answer["hits"]["hits"]
    return PageSummary(
        not answer["timed_out"] and not answer["_shards"]["failed"],
        len(hits),
        hits[-1]["sort"] if hits else None,
        answer["hits"].get("total", {}).get("value"),
    )


def decode_scan(
    response_dict: MutableMapping[str, Any],
    customized_response_dict: MutableMapping[str, Any],
    **_: object,
) -> None:
    """Hook for botocore's `before-parse.dynamodb.Scan`: adds the items, decoded, as `Entries`."""
    decoded = scanned(response_dict["body"])
    if decoded is not None:
        customized_response_dict["Entries"], response_dict["body"] = decoded


def scanned(body: bytes) -> tuple[list[Entry], bytes] | None:
    """The entries of a page of a scan, and the rest of it; None if an item has other types."""
    try:
        page = _scan_pages.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError):
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


def _of_hit(hit: SearchHit, source: _HitSource) -> Entry:
    if hit.routing is not None:
        name, why = name_of(hit.image_id, hit.routing), flaw_of(hit.routing)
        return malformed(name, why, msgspec.structs.asdict(source), hit.checked_version)
    if source.image_id != hit.image_id:
        why = shortened(f"image_id is {source.image_id!r}")
        return malformed(hit.image_id, why, msgspec.structs.asdict(source), hit.checked_version)
    return checked(
        hit.image_id,
        source.version,
        source.deleted,
        source.digest,
        source.expires_at,
        hit.checked_version,
        source.arrived_at,
    )


# Not strict, because DynamoDB writes numbers as strings.
_scan_pages = msgspec.json.Decoder(_ScanPage, strict=False)
_search_pages = msgspec.json.Decoder(SearchPage)
