"""Each answer about one image, whole, with its name in a plan and its words for an operator."""

from typing import Any

import msgspec
import pytest

from lockstep.audit.ahead import AheadKind
from lockstep.repair.decide_answer import (
    AlreadyEqual,
    Answer,
    AnswerAction,
    BothEntries,
    Leave,
    OverwriteItem,
    RemoveDocument,
    Winner,
    WriteDocument,
    WriteItem,
    action_of,
    answer,
    in_words,
)
from lockstep.simulation.fakes.opensearch import StoredDocument
from lockstep.stores.corrections import ItemCorrection
from shared.event import MAX_VERSION
from tests.unit.audit.stand import NOW, OLD, STAMP, Stand, a_change, a_document, an_item
from tests.unit.repair.test_answers import ALL, line_of

TABLES, INDEXS = a_change(STAMP, "table"), a_change(STAMP + 5, "index")
ITEM, DOCUMENT = an_item(TABLES), a_document(INDEXS)
# A document does not have its record's provenance.
OF_INDEX = msgspec.structs.replace(INDEXS, shard_id="restored-from-the-index", sequence_number="0")
MALFORMED = an_item(TABLES) | {"deleted": {"N": "0"}}
EXPIRED = an_item(a_change(STAMP, None, arrived=OLD))  # a tombstone
CHANGED = Leave("it is not as the report says: audit again, also with --values")

type Item = dict[str, Any] | None


def hit(document: StoredDocument | None) -> dict[str, Any] | None:
    """A document as a search returns it."""
    if document is None:
        return None
    return {"_id": "T1", "_version": document.version, "_source": document.source}


def answered(
    winner: Winner,
    item: Item,
    document: StoredDocument | None,
    *,
    now: BothEntries | None = None,
    kinds: frozenset[AheadKind] = ALL,
    explained: bool = False,
) -> Answer:
    """The answer about an image of a report that says this; `now`: what the stores hold now."""
    stand = Stand()
    stand.hold(item, document)
    held = now or BothEntries(item, hit(document))
    return answer(winner, line_of(stand), held, now=NOW, kinds=kinds, explained=explained)


def with_version(version: int) -> dict[str, Any]:
    return MALFORMED | {"version": {"N": str(version)}}


@pytest.mark.parametrize(
    ("item", "document", "expected"),
    [
        (ITEM, DOCUMENT, WriteItem(OF_INDEX)),
        (None, DOCUMENT, WriteItem(OF_INDEX)),
        (MALFORMED, DOCUMENT, OverwriteItem(ItemCorrection(OF_INDEX, {"N": str(STAMP)}))),
        (
            with_version(STAMP + 5),
            DOCUMENT,
            OverwriteItem(ItemCorrection(OF_INDEX, {"N": str(STAMP + 5)})),
        ),
        (
            with_version(STAMP + 6),
            DOCUMENT,
            Leave(
                f"the malformed item has version {STAMP + 6}, above the document's {STAMP + 5}: "
                "put the image again"
            ),
        ),
        (
            with_version(MAX_VERSION),
            DOCUMENT,
            Leave(
                f"the malformed item has version {MAX_VERSION}, above the document's {STAMP + 5}: "
                "put the image again"
            ),
        ),
        (
            with_version(MAX_VERSION + 1),
            DOCUMENT,
            OverwriteItem(ItemCorrection(OF_INDEX, {"N": str(MAX_VERSION + 1)})),
        ),
        (
            ITEM,
            a_document(a_change(MAX_VERSION)),
            Leave(f"version {MAX_VERSION} is more than a day ahead: no consumer accepts it"),
        ),
        (
            EXPIRED,
            a_document(a_change(STAMP - 1)),
            Leave(f"the table has an expired tombstone of version {STAMP}"),
        ),
        (
            EXPIRED,
            a_document(a_change(STAMP)),
            Leave(f"the table has an expired tombstone of version {STAMP}"),
        ),
        (EXPIRED, DOCUMENT, WriteItem(OF_INDEX)),
        (
            ITEM,
            a_document(INDEXS, digest="none"),
            Leave("the document is malformed: only --table-wins can answer"),
        ),
    ],
)
def test_the_index_wins_with_what_a_producer_can_have_sent(
    item: Item, document: StoredDocument, expected: Answer
) -> None:
    assert answered("index", item, document) == expected


def test_the_index_does_not_win_with_what_is_no_event() -> None:
    found = answered("index", ITEM, a_document(INDEXS, occurred_at="yesterday"))
    assert isinstance(found, Leave)
    assert found.why.startswith("the document is not a valid event: $.occurred_at: ")


@pytest.mark.parametrize(
    ("item", "document", "expected"),
    [
        (ITEM, DOCUMENT, RemoveDocument(hit(DOCUMENT) or {}, replaced=True)),
        (None, DOCUMENT, RemoveDocument(hit(DOCUMENT) or {}, replaced=False)),
        (EXPIRED, DOCUMENT, RemoveDocument(hit(DOCUMENT) or {}, replaced=False)),
        (
            MALFORMED,
            DOCUMENT,
            Leave("the item is malformed: only --index-wins can answer, or put the image again"),
        ),
    ],
)
def test_the_table_wins_with_what_it_has_or_lacks(
    item: Item, document: StoredDocument, expected: Answer
) -> None:
    assert answered("table", item, document) == expected


@pytest.mark.parametrize(("winner", "expected"), [("table", WriteDocument()), ("index", CHANGED)])
def test_a_document_that_is_gone_since_the_report_was_removed_by_the_table(
    winner: Winner, expected: Answer
) -> None:
    assert answered(winner, ITEM, DOCUMENT, now=BothEntries(ITEM, None)) == expected


@pytest.mark.parametrize("winner", ["table", "index"])
def test_what_is_equal_or_not_as_reported_or_not_ahead_is_left(winner: Winner) -> None:
    equal = BothEntries(ITEM, hit(a_document(TABLES)))
    assert answered(winner, ITEM, DOCUMENT, now=equal) == AlreadyEqual()
    newer = BothEntries(ITEM, hit(a_document(a_change(STAMP + 6))))
    assert answered(winner, ITEM, DOCUMENT, now=newer) == CHANGED
    behind = answered(winner, an_item(a_change(STAMP + 6)), DOCUMENT)
    assert behind == Leave("the index is not ahead: repair it, without an answer")


def test_a_kind_that_was_not_named_is_left() -> None:
    found = answered("table", None, DOCUMENT, kinds=frozenset({"image"}), explained=True)
    assert found == Leave("it is explained by now: audit again, or add --kind explained")


@pytest.mark.parametrize(
    ("found", "action", "words"),
    [
        (
            WriteItem(INDEXS),
            "write_table",
            f"write version {STAMP + 5} of the index to the table",
        ),
        (
            OverwriteItem(ItemCorrection(INDEXS, None)),
            "overwrite_table",
            f"overwrite the malformed item with version {STAMP + 5}",
        ),
        (
            RemoveDocument({"_version": 7}, replaced=True),
            "replace_document",
            "replace version 7 of the index by the table's content",
        ),
        (
            RemoveDocument({"_version": 7}, replaced=False),
            "remove_document",
            "remove version 7 from the index: the table lacks it",
        ),
        (
            WriteDocument(),
            "write_index",
            "write the table's content to the index, where a document was removed before",
        ),
        (Leave("because"), "leave", "because"),
        (AlreadyEqual(), "leave", "both stores are equal"),
    ],
)
def test_an_answer_has_a_name_and_words(found: Answer, action: AnswerAction, words: str) -> None:
    assert (action_of(found), in_words(found)) == (action, words)
