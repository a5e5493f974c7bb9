"""Answers: which store wins where the index is ahead of the table, as an operator decides.

An answer looks only at the images of an audit's report, and acts only where both entries still are
as their line says. Every write has a version check, so an answer can be interrupted and repeated.
Before it replaces or removes a document, it keeps the document in the bucket, so that
`lockstep put` can bring it back.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import batched
from typing import Any, Literal, Protocol, cast

import msgspec

from lockstep.audit.ahead import AheadKind
from lockstep.audit.report import ReportLine
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
from lockstep.repair.repair import EXAMPLES, DifferingImage, Example, IndexCorrections, Repair
from lockstep.repair.replaced import Replaced
from lockstep.stores.corrections import ItemCorrection, Removal
from lockstep.stores.readers import LOOKUP, RawLookup
from shared.change import Change
from shared.clock import Clock
from shared.outcome import Applied, Conflict, Duplicate, Failed, Outcome, Refused, Stale
from shared.sink import Sink, write_all


class TableOverwriter(Protocol):
    """See `lockstep.stores.corrections.TableCorrections`."""

    def overwrite(self, items: Sequence[ItemCorrection]) -> Sequence[Outcome]:
        """Write over malformed items."""
        ...


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
    replaced. `left`: images that the answer could not change, and why. `not_changed`: images that
    could not be written, and why; repeat the answer.
    """

    written: Mapping[str, int]
    kept: str | None
    left: Sequence[Example]
    not_changed: Sequence[Example]


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
                row = cast("AheadKind", line.ahead), action_of(found)
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
            not_changed=[*done.not_changed, *repaired.undecided, *repaired.not_repaired],
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
        outcomes = self._written(answered)
        for line, found in answered:
            image_id = line.image_id
            if isinstance(found, AlreadyEqual):
                continue
            if isinstance(found, Leave):
                done.left.append(Example(image_id, found.why))
                continue
            match outcomes.get(image_id, Applied()):
                case Applied() | Duplicate():
                    done.written[action_of(found)] += 1
                case Stale():
                    done.not_changed.append(Example(image_id, "it was written meanwhile"))
                    continue
                case Conflict(detail) | Refused(detail) | Failed(detail):
                    done.not_changed.append(Example(image_id, detail))
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

    def _written(self, answered: Sequence[tuple[ReportLine, Answer]]) -> Mapping[str, Outcome]:
        """Write what is decided; returns the outcome of each image that was written."""
        write: dict[str, Change] = {}
        overwrite: dict[str, ItemCorrection] = {}
        replace: dict[str, Removal] = {}
        remove: dict[str, Removal] = {}
        for line, found in answered:
            match found:
                case WriteItem(change):
                    write[line.image_id] = change
                case OverwriteItem(correction):
                    overwrite[line.image_id] = correction
                case RemoveDocument(document, replaced):
                    removals = replace if replaced else remove
                    removals[line.image_id] = _removal_of(document)
        outcomes = (
            *write_all([*write.values()], self._table_sink),
            *self._table_corrections.overwrite([*overwrite.values()]),
            *self._repair.remove_to_write_again([*replace.values()]),
            *self._corrections.remove([*remove.values()]),
        )
        images = (*write, *overwrite, *replace, *remove)
        return dict(zip(images, outcomes, strict=True))


class _Done:
    """What an answer has done so far."""

    def __init__(self) -> None:
        self.written: Counter[str] = Counter()
        self.kept = False
        self.left: list[Example] = []
        self.not_changed: list[Example] = []
        # By image: a report may name an image twice.
        self.to_index: dict[str, DifferingImage] = {}


def _removal_of(document: Mapping[str, Any]) -> Removal:
    return Removal(document["_id"], document["_version"], document.get("_routing", msgspec.UNSET))
