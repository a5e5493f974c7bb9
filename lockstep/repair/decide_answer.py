"""Decides what an operator's answer does about one image of a report."""

from collections.abc import Callable, Mapping
from typing import Any, Literal, assert_never

import msgspec

from lockstep.audit.ahead import AheadKind
from lockstep.audit.report import ReportLine, entry_fields
from lockstep.repair.decide import Agree, Ahead, WriteIndex, decide
from lockstep.repair.replaced import event_in
from lockstep.stores.corrections import ItemCorrection
from lockstep.stores.entry import (
    Entry,
    from_document,
    from_item,
    from_whole_document,
    from_whole_item,
)
from lockstep.stores.image_state import (
    Absent,
    ImageState,
    Intact,
    Malformed,
    state_of_document,
    state_of_item,
)
from shared.change import Change
from shared.event import MAX_VERSION, InvalidEventError
from shared.stamps import too_far_ahead

Winner = Literal["index", "table"]
AnswerAction = Literal[
    "write_table", "overwrite_table", "replace_document", "remove_document", "write_index"
]


class BothEntries(msgspec.Struct, frozen=True):
    """What both stores hold of an image, as they return it; None: nothing."""

    item: Mapping[str, Any] | None
    document: Mapping[str, Any] | None

    @property
    def table(self) -> ImageState:
        """What the table holds."""
        return Absent() if self.item is None else state_of_item(self.item)

    @property
    def index(self) -> ImageState:
        """What the index holds."""
        return Absent() if self.document is None else state_of_document(self.document)

    def is_as(self, line: ReportLine) -> bool:
        """Whether both entries still are as the line says; an audit reads some or all fields."""
        said = line.table, line.index
        return said in (
            self._entries(from_item, from_document),
            self._entries(from_whole_item, from_whole_document),
        )

    def _entries(
        self,
        of_item: Callable[[Mapping[str, Any]], Entry],
        of_document: Callable[[Mapping[str, Any]], Entry],
    ) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
        return (
            None if self.item is None else entry_fields(of_item(self.item)),
            None if self.document is None else entry_fields(of_document(self.document)),
        )


class WriteItem(msgspec.Struct, frozen=True):
    """Write the index's change to the table, with the version check."""

    change: Change


class OverwriteItem(msgspec.Struct, frozen=True):
    """Write the index's change over the malformed item, whose version is as it was read."""

    correction: ItemCorrection


class RemoveDocument(msgspec.Struct, frozen=True):
    """Keep the document and remove it; then write what the table has, if it has anything."""

    document: Mapping[str, Any]
    replaced: bool


class WriteDocument(msgspec.Struct, frozen=True):
    """An earlier run removed the document: write the table's content to the index."""


class Leave(msgspec.Struct, frozen=True):
    """Change nothing; `why` says what hinders the answer."""

    why: str


class AlreadyEqual(msgspec.Struct, frozen=True):
    """Both stores are equal: there is nothing to answer."""


type Answer = WriteItem | OverwriteItem | RemoveDocument | WriteDocument | Leave | AlreadyEqual


def answer(
    winner: Winner,
    line: ReportLine,
    held: BothEntries,
    *,
    now: float,
    kinds: frozenset[AheadKind],
    explained: bool,
) -> Answer:
    """What this answer does about one image of a report.

    Args:
        winner: which store wins.
        line: the image's line in the report; its kind is one of `kinds`.
        held: what both stores hold of the image now.
        now: seconds since 1970.
        kinds: the kinds that the operator answers.
        explained: whether the table's consumer has a record of the image in quarantine.
    """
    decision = decide(held.table, held.index, now=now, explained=explained)
    if isinstance(decision, Agree):
        return AlreadyEqual()
    if not held.is_as(line):
        removed = msgspec.structs.replace(line, index=None)
        if winner == "table" and isinstance(decision, WriteIndex) and held.is_as(removed):
            return WriteDocument()
        return Leave("it is not as the report says: audit again, also with --values")
    if not isinstance(decision, Ahead):
        return Leave("the index is not ahead: repair it, without an answer")
    if decision.kind not in kinds:
        return Leave(f"it is {decision.kind} by now: audit again, or add --kind {decision.kind}")
    return _index_wins(held, now) if winner == "index" else _table_wins(held, now)


def _index_wins(held: BothEntries, now: float) -> Answer:
    """The table gets what the index has, if a producer can have sent it."""
    table, index = held.table, held.index
    if not isinstance(index, Intact):
        return Leave("the document is malformed: only --table-wins can answer")
    change = index.change
    if too_far_ahead(change.version, now):
        return Leave(f"version {change.version} is more than a day ahead: no consumer accepts it")
    try:
        event_in(change)
    except InvalidEventError as error:
        return Leave(f"the document is not a valid event: {error.detail}")
    if isinstance(table, Intact) and table.version >= change.version:
        return Leave(f"the table has an expired tombstone of version {table.version}")
    if held.item is None or not isinstance(table, Malformed):
        return WriteItem(change)
    if table.version is not None and change.version < table.version <= MAX_VERSION:
        return Leave(
            f"the malformed item has version {table.version}, above the document's "
            f"{change.version}: put the image again"
        )
    return OverwriteItem(ItemCorrection(change, held.item.get("version")))


def _table_wins(held: BothEntries, now: float) -> Answer:
    """The index gets what the table has, or loses what the table lacks."""
    table = held.table
    if isinstance(table, Malformed):
        return Leave("the item is malformed: only --index-wins can answer, or put the image again")
    if held.document is None:
        return AlreadyEqual()
    has_content = isinstance(table, Intact) and not table.expired(now)
    return RemoveDocument(held.document, replaced=has_content)


def action_of(found: Answer) -> AnswerAction | Literal["leave"]:
    """The answer's name in a plan."""
    match found:
        case WriteItem():
            return "write_table"
        case OverwriteItem():
            return "overwrite_table"
        case RemoveDocument(replaced=True):
            return "replace_document"
        case RemoveDocument():
            return "remove_document"
        case WriteDocument():
            return "write_index"
        case Leave() | AlreadyEqual():
            return "leave"
        case _:
            assert_never(found)


def in_words(found: Answer) -> str:
    """The answer about one image, for an operator."""
    match found:
        case WriteItem(change):
            return f"write version {change.version} of the index to the table"
        case OverwriteItem(correction):
            return f"overwrite the malformed item with version {correction.change.version}"
        case RemoveDocument(document, replaced=True):
            return f"replace version {document['_version']} of the index by the table's content"
        case RemoveDocument(document):
            return f"remove version {document['_version']} from the index: the table lacks it"
        case WriteDocument():
            return "write the table's content to the index, where a document was removed before"
        case Leave(why):
            return why
        case AlreadyEqual():
            return "both stores are equal"
        case _:
            assert_never(found)
