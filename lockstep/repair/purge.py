"""The purge: removes expired tombstones from the index, as DynamoDB's TTL does from the table.

A tombstone stays if the table still needs it: to stop a late replay, or because the table never got
the deletion.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import batched
from typing import Any, Literal, Protocol

import msgspec

from functions.write_to_es.document import FIELDS
from lockstep.repair.repair import Example, IndexCorrections
from lockstep.stores.corrections import Removal
from lockstep.stores.image_state import Absent, ImageState, Intact, Malformed, state_of_document
from lockstep.stores.readers import LOOKUP, WholeLookup
from shared.change import digest_of
from shared.outcome import Applied, Outcome, Stale

EXAMPLES = 3

Verdict = Literal[
    "purge",
    "not_over",
    "removal_missing_in_table",
    "tombstone_in_table",
    "newer_in_table",
    "malformed",
]


class IndexSearch(Protocol):
    """Searches the index."""

    def search(
        self, fields: Sequence[str], query: Mapping[str, Any]
    ) -> Iterator[Mapping[str, Any]]:
        """These fields of every document that the query finds."""
        ...


class Purged(msgspec.Struct, frozen=True):
    """What a purge did with the expired tombstones.

    `expired`: how many were found. `removable`: how many may be removed. `kept`: those that stay,
    by reason. `purged`: removed. `changed_meanwhile`: written meanwhile, so they stay. `failed`:
    not removed.
    """

    expired: int
    removable: int
    kept: Mapping[Verdict, int]
    examples: Sequence[Example]
    purged: int = 0
    changed_meanwhile: int = 0
    failed: int = 0


def verdict(index: ImageState, table: ImageState, *, now: float) -> Verdict:
    """Whether a document is an expired tombstone that may be purged; if not, why.

    Args:
        index: what the index holds.
        table: what the table holds of the same image.
        now: seconds since 1970.
    """
    if not isinstance(index, Intact) or isinstance(table, Malformed):
        return "malformed"
    if not index.expired(now):
        return "not_over"
    if isinstance(table, Absent) or table.expired(now):
        return "purge"
    if table.version > index.version:
        return "newer_in_table"
    if table.version == index.version and digest_of(table.change) is None:
        return "tombstone_in_table"
    return "removal_missing_in_table"


def purge(
    index: IndexSearch,
    table: WholeLookup,
    corrections: IndexCorrections,
    *,
    now: float,
    apply: bool,
    on_progress: Callable[[int], None] = lambda _: None,
) -> Purged:
    """Remove expired tombstones that the table does not need; without `apply` only count them.

    The removal uses OpenSearch's version check: an image that was written again stays. It is safe
    to run the purge twice, and while the stream flows.

    Args:
        index: where to find them.
        table: says whether they are still needed.
        corrections: removes them.
        now: seconds since 1970.
        apply: whether to remove them.
        on_progress: called with the number of tombstones that were checked.
    """
    query = {
        "query": {
            "bool": {
                "filter": [
                    {"term": {"deleted": True}},
                    {"range": {"expires_at": {"lte": int(now)}}},
                ]
            }
        }
    }
    verdicts: Counter[Verdict] = Counter()
    outcomes: Counter[type[Outcome]] = Counter()
    examples: list[Example] = []
    for hits in batched(index.search(FIELDS, query), LOOKUP):
        in_table = table.lookup_whole([hit["_id"] for hit in hits])
        removals = []
        for hit in hits:
            image_id = hit["_id"]
            found = verdict(state_of_document(hit), in_table.get(image_id, Absent()), now=now)
            verdicts[found] += 1
            if found == "purge":
                removals.append(Removal(image_id, hit["_version"]))
            if len(examples) < EXAMPLES:
                examples.append(Example(image_id, found))
        if apply:
            outcomes.update(type(one) for one in corrections.remove(removals))
        on_progress(verdicts.total())
    purgeable = verdicts.pop("purge", 0)
    removed, changed_meanwhile = outcomes[Applied], outcomes[Stale]
    return Purged(
        expired=purgeable + verdicts.total(),
        removable=purgeable,
        kept=dict(sorted(verdicts.items())),
        examples=examples,
        purged=removed,
        changed_meanwhile=changed_meanwhile,
        failed=outcomes.total() - removed - changed_meanwhile,
    )
