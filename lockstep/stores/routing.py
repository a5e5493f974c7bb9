"""The documents that somebody wrote with a custom `routing`: how they are named and looked up.

OpenSearch finds the shard of a document by its `routing`, which is its `_id` by default. Our sinks
never set it. A document with a custom routing may be in another shard than its `_id`: then only a
request with the same routing reaches it, and the index can have several documents of one `_id`.
So such a document has a name of its own, `ID?routing=ROUTING`. No image has such an ID.
"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, unquote

from shared.shortened import shortened

_MARK = "?routing="
# As JSON does, OpenSearch's answers may contain half of a surrogate pair.
_ERRORS = "surrogatepass"


def name_of(document_id: str, routing: str) -> str:
    """The name of a document with this `_id` and this custom routing."""
    return f"{document_id}{_MARK}{quote(routing, safe='', errors=_ERRORS)}"


def name_of_document(hit: Mapping[str, Any]) -> str:
    """The name of a search hit or of a document of an `_mget` answer: its `_id` if not routed."""
    routing = hit.get("_routing")
    return hit["_id"] if routing is None else name_of(hit["_id"], routing)


def routed(name: str) -> tuple[str, str] | None:
    """The `_id` and the routing in a name; None if it is a plain `_id`."""
    document_id, mark, routing = name.rpartition(_MARK)
    return (document_id, unquote(routing, errors=_ERRORS)) if mark else None


def flaw_of(routing: str) -> str:
    """What is wrong with a document that has this routing."""
    return shortened(f"it was written with the routing {routing!r}")


def named(name: str) -> str:
    """What a person is told of a document with this name, besides the image's own."""
    return (
        f"the index also has {name}, which no consumer wrote: `lockstep audit --repair` with "
        "--table-wins and the report of an audit removes it"
    )
