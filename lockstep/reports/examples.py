"""The examples of a report: some differing images, and what a repair would do about each."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import batched
from typing import Any

from lockstep.audit.recheck import Difference
from lockstep.repair.decide import decide
from lockstep.repair.repair import action_of, in_words
from lockstep.reports.content import DifferenceExample
from lockstep.reports.sides import FieldPair, field_pairs, readable
from lockstep.reports.words import ACTIONS
from lockstep.stores.image_state import Absent, state_of_document, state_of_item
from lockstep.stores.readers import LOOKUP, RawLookup

# What tells two entries apart, if only one store has the image.
_SHOWN = ("state", "malformed", "version", "digest", "name")


def image_examples(
    differences: Iterable[Difference], table: RawLookup, index: RawLookup, *, now: float
) -> Iterator[DifferenceExample]:
    """These images as both stores hold them now.

    Args:
        differences: what an audit found of them.
        table: reads the table.
        index: reads the index.
        now: seconds since 1970.

    Raises:
        StoreUnreadableError: a store does not answer.
    """
    for some in batched(differences, LOOKUP):
        ids = [one.image_id for one in some]
        items, documents = table.lookup_raw(ids), index.lookup_raw(ids)
        for one in some:
            yield _example(one, items.get(one.image_id), documents.get(one.image_id), now)


def _example(
    found: Difference,
    item: Mapping[str, Any] | None,
    document: Mapping[str, Any] | None,
    now: float,
) -> DifferenceExample:
    in_table = Absent() if item is None else state_of_item(item)
    in_index = Absent() if document is None else state_of_document(document)
    pairs = field_pairs(item, document, now=now)
    shown = [pair for pair in pairs if _is_shown(pair, alone=item is None or document is None)]
    shown = shown or pairs
    decision = decide(in_table, in_index, now=now, explained=found.ahead == "explained")
    action = action_of(decision)
    words = readable(in_words(decision))
    return DifferenceExample(
        key=found.image_id,
        kind=found.kind,
        shown=shown,
        others=[pair for pair in pairs if pair not in shown],
        repair=words if action is None else f"{ACTIONS[action]}: {words}",
        note="A record of this image is in quarantine." if found.explained_by_quarantine else "",
    )


def _is_shown(pair: FieldPair, *, alone: bool) -> bool:
    if alone:
        return pair.name in _SHOWN
    return pair.mark == "differs" or pair.name in {"malformed", "version"}
