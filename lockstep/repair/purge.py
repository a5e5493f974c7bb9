"""The purge: tombstones past their time leave the index, as they leave the table by DynamoDB's TTL.

A tombstone that the table does not let go stays: one that is still to stop a late replay, or one
whose removal the table never got.
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
    """The index, as it can be searched."""

    def search(
        self, fields: Sequence[str], query: Mapping[str, Any]
    ) -> Iterator[Mapping[str, Any]]:
        """These fields of every document that the query finds."""
        ...


class Purged(msgspec.Struct, frozen=True):
    """What became of the tombstones past their time.

    `over` were found, `purge` of them may go, `kept` stay, by the reason, `purged` are gone;
    `moved_on` were written meanwhile, `failed` could not be taken out for now.
    """

    over: int
    purge: int
    kept: Mapping[Verdict, int]
    examples: Sequence[Example]
    purged: int = 0
    moved_on: int = 0
    failed: int = 0


def verdict(index: ImageState, table: ImageState, *, now: float) -> Verdict:
    """Whether a document of the index is a tombstone that nobody needs any more.

    Args:
        index: what the index holds.
        table: what the table holds of the same image.
        now: in seconds since 1970.
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
    """Take the tombstones that nobody needs out of the index; without `apply` only count them.

    Each goes under OpenSearch's guard: an image that has come back meanwhile stays. Safe to run
    twice, and while the stream flows.

    Args:
        index: to find them.
        table: to see whether they are still needed.
        corrections: to take them out.
        now: in seconds since 1970.
        apply: whether to do it.
        on_progress: is told how many have been looked at.
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
    for hits in batched(index.search(FIELDS, query), LOOKUP, strict=False):
        in_table = table.lookup_whole([hit["_id"] for hit in hits])
        removals = []
        for hit in hits:
            image_id = hit["_id"]
            said = verdict(state_of_document(hit), in_table.get(image_id, Absent()), now=now)
            verdicts[said] += 1
            if said == "purge":
                removals.append(Removal(image_id, hit["_version"]))
            if len(examples) < EXAMPLES:
                examples.append(Example(image_id, said))
        if apply:
            outcomes.update(type(one) for one in corrections.remove(removals))
        on_progress(verdicts.total())
    may_go = verdicts.pop("purge", 0)
    gone, moved_on = outcomes[Applied], outcomes[Stale]
    return Purged(
        over=may_go + verdicts.total(),
        purge=may_go,
        kept=dict(sorted(verdicts.items())),
        examples=examples,
        purged=gone,
        moved_on=moved_on,
        failed=outcomes.total() - gone - moved_on,
    )
