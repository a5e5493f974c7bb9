"""Answers: which store wins where the index is ahead of the table, as an operator decides.

An answer looks only at the images of an audit's report, and acts only where both entries still are
as their line says. Every write has a version check, so an answer can be interrupted and repeated.
Before it replaces or removes a document, it keeps the document in the bucket, so that
`lockstep put` can bring it back.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import batched
from typing import Any, Literal, Protocol, assert_never, cast

import msgspec

from lockstep.audit.ahead import AheadKind
from lockstep.audit.report import ReportLine, entry_fields
from lockstep.repair.decide import Agree, Ahead, WriteIndex, decide
from lockstep.repair.repair import EXAMPLES, DifferingImage, Example, IndexCorrections, Repair
from lockstep.stores.corrections import ItemCorrection, Removal
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
from lockstep.stores.objects import Objects
from lockstep.stores.readers import LOOKUP, RawLookup
from shared.change import Change, Put
from shared.clock import Clock
from shared.event import MAX_VERSION, InvalidEventError, decode
from shared.outcome import Applied, Conflict, Duplicate, Failed, Outcome, Refused, Stale
from shared.sink import Sink, write_all
from shared.stamps import too_far_ahead

# Where replaced documents are kept. No consumer may write there (template.yaml).
REPLACED = "replaced/"

Winner = Literal["index", "table"]
AnswerAction = Literal[
    "write_table", "overwrite_table", "replace_document", "remove_document", "write_index"
]


class TableOverwriter(Protocol):
    """See `lockstep.stores.corrections.TableCorrections`."""

    def overwrite(self, items: Sequence[ItemCorrection]) -> Sequence[Outcome]:
        """Write over malformed items."""
        ...


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
    explained: bool = False,
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
    if not isinstance(table, Malformed):
        return WriteItem(change)
    if table.version is not None and change.version < table.version <= MAX_VERSION:
        return Leave(
            f"the malformed item has version {table.version}, above the document's "
            f"{change.version}: put the image again"
        )
    version = None if held.item is None else held.item.get("version")
    return OverwriteItem(ItemCorrection(change, version))


def _table_wins(held: BothEntries, now: float) -> Answer:
    """The index gets what the table has, or loses what the table lacks."""
    table = held.table
    if isinstance(table, Malformed):
        return Leave("the item is malformed: only --index-wins can answer, or put the image again")
    if held.document is None:
        return AlreadyEqual()
    has_content = isinstance(table, Intact) and not table.expired(now)
    return RemoveDocument(held.document, replaced=has_content)


def event_in(change: Change) -> bytes:
    """The event with this effect, encoded: a line that `lockstep put` accepts.

    Raises:
        InvalidEventError: there is none.
    """
    fields: dict[str, Any] = {
        "type": change.event_type,
        "image_id": change.image_id,
        "version": change.version,
        "occurred_at": change.occurred_at,
    }
    if isinstance(change, Put):
        fields["image"] = msgspec.to_builtins(change.image)
    line = msgspec.json.encode(fields)
    decode(line)
    return line


def _event_of(document: Mapping[str, Any]) -> bytes | None:
    """The event that brings a document back; None if there is none."""
    stored = state_of_document(document)
    if isinstance(stored, Malformed):
        return None
    try:
        return event_in(stored.change)
    except InvalidEventError:
        return None


class Replaced:
    """Keeps replaced documents in the bucket, under one prefix for each run."""

    def __init__(self, objects: Objects, run: str) -> None:
        """Set up the keeping.

        Args:
            objects: the bucket.
            run: a name that no other run has.
        """
        self.prefix = f"{REPLACED}{run}/"
        self._objects = objects
        self._count = 0

    def keep(self, documents: Iterable[Mapping[str, Any]]) -> None:
        """Keep documents. Once this returns, they are durable.

        Those that are valid events go to `events-N.ndjson`, one event a line. The others go to
        `documents-N.ndjson` as OpenSearch returned them: no event can bring them back.

        Raises whatever the bucket's client raises.
        """
        events, others = [], []
        for document in documents:
            event = _event_of(document)
            if event is None:
                others.append(msgspec.json.encode(document))
            else:
                events.append(event)
        self._count += 1
        for name, lines in (("events", events), ("documents", others)):
            if lines:
                key = f"{self.prefix}{name}-{self._count:06}.ndjson"
                self._objects.write(key, b"".join(line + b"\n" for line in lines))


class PlannedAnswer(msgspec.Struct, frozen=True):
    """What an answer does about one kind of what the index is ahead with."""

    ahead: AheadKind
    action: AnswerAction | Literal["leave"]
    images: int
    examples: Sequence[Example]


class AnswerPlan(msgspec.Struct, frozen=True):
    """What an answer would do.

    `changes` of all `images` would be changed. `left`: images that the answer cannot change now.
    `settled`: images that are equal by now. `other_kinds`: images of the report that only a
    `--kind` would answer.
    """

    winner: Winner
    planned: Sequence[PlannedAnswer]
    images: int
    changes: int
    left: int
    settled: int
    other_kinds: Mapping[AheadKind, int]

    @property
    def percent(self) -> float:
        """The share of all images that would be changed."""
        return 100 * self.changes / max(1, self.images)


class Answered(msgspec.Struct, frozen=True):
    """What an answer did.

    `written`: images by action. `kept`: where replaced documents are kept; None if none was
    replaced. `left`: images that the answer could not change, and why. `unfinished`: images that
    could not be written, and why; repeat the answer.
    """

    written: Mapping[str, int]
    kept: str | None
    left: Sequence[Example]
    unfinished: Sequence[Example]


class Answers:
    """One operator's answer to a report."""

    def __init__(
        self,
        winner: Winner,
        kinds: frozenset[AheadKind],
        *,
        table: RawLookup,
        index: RawLookup,
        table_sink: Sink,
        table_corrections: TableOverwriter,
        corrections: IndexCorrections,
        repair: Repair,
        replaced: Replaced,
        explained: Callable[[], frozenset[str]],
        clock: Clock,
    ) -> None:
        """Set up an answer.

        Args:
            winner: which store wins.
            kinds: the kinds to answer; the other images of the report stay.
            table: reads the table.
            index: reads the index.
            table_sink: writes to the table, as its consumer does.
            table_corrections: overwrites malformed items.
            corrections: removes documents.
            repair: writes the table's content to the index, once documents are removed.
            replaced: keeps replaced documents.
            explained: reads the images of which the table's consumer has a record in quarantine.
            clock: the clock.
        """
        self._winner = winner
        self._kinds = kinds
        self._table = table
        self._index = index
        self._table_sink = table_sink
        self._table_corrections = table_corrections
        self._corrections = corrections
        self._repair = repair
        self._replaced = replaced
        self._explained = explained
        self._clock = clock
        self._known: frozenset[str] | None = None

    def plan(self, lines: Iterable[ReportLine], images: int) -> AnswerPlan:
        """What `apply` would do now. Writes nothing.

        Args:
            lines: the report.
            images: the number of all images.
        """
        counts: Counter[tuple[AheadKind, AnswerAction | Literal["leave"]]] = Counter()
        examples: dict[tuple[AheadKind, str], list[Example]] = {}
        others: Counter[AheadKind] = Counter()
        settled = 0
        for some in batched(self._selected(lines, others), LOOKUP):
            for line, found in self._answered(some):
                if isinstance(found, AlreadyEqual):
                    settled += 1
                    continue
                row = cast("AheadKind", line.ahead), _action(found)
                counts[row] += 1
                if counts[row] <= EXAMPLES:
                    text = in_words(found)
                    examples.setdefault(row, []).append(Example(line.image_id, text))
        left = sum(count for (_, action), count in counts.items() if action == "leave")
        return AnswerPlan(
            winner=self._winner,
            planned=[
                PlannedAnswer(*row, count, examples[row]) for row, count in sorted(counts.items())
            ],
            images=images,
            changes=counts.total() - left,
            left=left,
            settled=settled,
            other_kinds=dict(sorted(others.items())),
        )

    def apply(
        self, lines: Iterable[ReportLine], on_progress: Callable[[int], None] = lambda _: None
    ) -> Answered:
        """Answer: write the winner's content to the other store, in batches.

        Raises:
            MisconfiguredError: no right to write to a store, or it does not exist; or the index
                mapping is not ours, and no document is replaced.
        """
        done = _Done()
        for some in batched(self._selected(lines, Counter()), LOOKUP):
            self._apply(list(self._answered(some)), done)
            on_progress(done.written.total())
        # Also after an interruption: what was removed before is missing in the index now.
        repaired = self._repair.apply(done.to_index.values())
        return Answered(
            written=dict(sorted(done.written.items())),
            kept=self._replaced.prefix if done.kept else None,
            left=done.left,
            unfinished=[*done.unfinished, *repaired.told, *repaired.unfinished],
        )

    def _selected(
        self, lines: Iterable[ReportLine], others: Counter[AheadKind]
    ) -> Iterator[ReportLine]:
        """The lines of the kinds to answer; counts those of other kinds."""
        for line in lines:
            if line.ahead in self._kinds:
                yield line
            elif line.ahead is not None:
                others[line.ahead] += 1

    def _answered(self, some: Iterable[ReportLine]) -> Iterator[tuple[ReportLine, Answer]]:
        """Each image of some lines once, and what to do about it now."""
        by_image = {line.image_id: line for line in some}
        image_ids = list(by_image)
        items, documents = self._table.lookup_raw(image_ids), self._index.lookup_raw(image_ids)
        for image_id, line in by_image.items():
            held = BothEntries(items.get(image_id), documents.get(image_id))
            yield (
                line,
                answer(
                    self._winner,
                    line,
                    held,
                    now=self._clock.now(),
                    kinds=self._kinds,
                    explained=image_id in self._quarantined(),
                ),
            )

    def _quarantined(self) -> frozenset[str]:
        """The images of which the table's consumer has a record in quarantine, read once."""
        if self._known is None:
            self._known = self._explained()
        return self._known

    def _apply(self, answered: Sequence[tuple[ReportLine, Answer]], done: "_Done") -> None:
        """Apply some answers."""
        self._keep_documents([found for _, found in answered], done)
        outcomes = self._written([found for _, found in answered])
        for line, found in answered:
            image_id = line.image_id
            if isinstance(found, AlreadyEqual):
                continue
            if isinstance(found, Leave):
                done.left.append(Example(image_id, found.why))
                continue
            match outcomes.get(image_id, Applied()):
                case Applied() | Duplicate():
                    done.written[_action(found)] += 1
                case Stale():
                    done.unfinished.append(Example(image_id, "it was written meanwhile"))
                    continue
                case Conflict(detail) | Refused(detail) | Failed(detail):
                    done.unfinished.append(Example(image_id, detail))
                    continue
            if isinstance(found, WriteDocument) or (
                isinstance(found, RemoveDocument) and found.replaced
            ):
                done.to_index[image_id] = DifferingImage(image_id, line.kind)

    def _keep_documents(self, answers: Sequence[Answer], done: "_Done") -> None:
        """Keep the documents that will be removed. If this fails, nothing is removed."""
        documents = [one.document for one in answers if isinstance(one, RemoveDocument)]
        if documents:
            self._replaced.keep(documents)
            done.kept = True

    def _written(self, answers: Sequence[Answer]) -> Mapping[str, Outcome]:
        """Write what is decided; returns the outcome of each image that was written."""
        write = [one.change for one in answers if isinstance(one, WriteItem)]
        overwrite = [one.correction for one in answers if isinstance(one, OverwriteItem)]
        removals = [one for one in answers if isinstance(one, RemoveDocument)]
        replace = [_removal_of(one) for one in removals if one.replaced]
        remove = [_removal_of(one) for one in removals if not one.replaced]
        outcomes = (
            *write_all(write, self._table_sink),
            *self._table_corrections.overwrite(overwrite),
            *self._repair.remove_to_write_again(replace),
            *self._corrections.remove(remove),
        )
        images = (
            *(one.image_id for one in write),
            *(one.change.image_id for one in overwrite),
            *(one.image_id for one in (*replace, *remove)),
        )
        return dict(zip(images, outcomes, strict=True))


class _Done:
    """What an answer has done so far."""

    def __init__(self) -> None:
        self.written: Counter[str] = Counter()
        self.kept = False
        self.left: list[Example] = []
        self.unfinished: list[Example] = []
        # By image: a report may name an image twice.
        self.to_index: dict[str, DifferingImage] = {}


def _removal_of(answer: RemoveDocument) -> Removal:
    return Removal(answer.document["_id"], answer.document["_version"])


def _action(found: Answer) -> AnswerAction | Literal["leave"]:
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
