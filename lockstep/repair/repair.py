"""The repair: decides about each difference and applies the decision, until both stores are equal.

Every write goes through the handlers' sinks with their version check, except for the corrections of
the index (`lockstep.stores.corrections`). So a repair is safe while the stream flows, and safe to
run twice. Each decision is made from what both stores hold at that moment.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import batched
from typing import Literal, Protocol, assert_never

import msgspec

from lockstep.audit.compare import DifferenceKind
from lockstep.console.errors import UserError
from lockstep.repair.decide import (
    Agree,
    Decision,
    NeedsOperator,
    OverwriteIndex,
    RecreateDocument,
    RemoveFromIndex,
    Republish,
    WriteIndex,
    WriteTable,
    decide,
)
from lockstep.stores.corrections import Removal
from lockstep.stores.image_state import Absent
from lockstep.stores.readers import LOOKUP, WholeLookup
from shared.change import Change
from shared.clock import Clock
from shared.outcome import Applied, Duplicate, Outcome, Refused
from shared.sink import Sink, write_all

EXAMPLES = 3
# OpenSearch keeps the version of a deleted document for a minute or somewhat longer.
PATIENCE_SECONDS = 100.0
LONGEST_PAUSE_SECONDS = 10.0
# An image that still differs after so many passes is changed by somebody else.
MOST_PASSES = 50

Action = Literal[
    "write_index",
    "write_table",
    "overwrite_index",
    "republish",
    "leave_index",
    "forget",
    "tell",
]


class IndexCorrections(Protocol):
    """See `lockstep.stores.corrections.Corrections`."""

    def overwrite(self, changes: Sequence[Change]) -> Sequence[Outcome]:
        """Write changes, also over documents of the same version."""
        ...

    def remove(self, removals: Sequence[Removal]) -> Sequence[Outcome]:
        """Remove documents from the index."""
        ...


class DifferingImage(msgspec.Struct, frozen=True):
    """An image that differs, and how."""

    image_id: str
    kind: DifferenceKind


class Example(msgspec.Struct, frozen=True):
    """One image, and a text about it."""

    image_id: str
    detail: str


class PlannedAction(msgspec.Struct, frozen=True):
    """What to do about one kind of difference."""

    kind: DifferenceKind
    action: Action
    images: int
    examples: Sequence[Example]


class RepairPlan(msgspec.Struct, frozen=True):
    """What a repair would do.

    `changes` of all `images` would be written, `told` images need an operator.
    """

    planned: Sequence[PlannedAction]
    images: int
    changes: int
    told: int

    @property
    def percent(self) -> float:
        """The share of all images that would be written."""
        return 100 * self.changes / max(1, self.images)


class OverLimitError(UserError):
    """A repair would write more images than allowed; nothing is written."""


class Repaired(msgspec.Struct, frozen=True):
    """What a repair did.

    `passes`: how many passes wrote something. `written`: images by action. `told`: images that need
    an operator. `unfinished`: images that could not be written, and why; a retry may succeed.
    """

    passes: int
    written: Mapping[str, int]
    told: Sequence[Example]
    unfinished: Sequence[Example]


class Repair:
    """Repairs the differences of one stack."""

    def __init__(
        self,
        table: WholeLookup,
        index: WholeLookup,
        *,
        table_sink: Sink,
        index_sink: Sink,
        corrections: IndexCorrections,
        clock: Clock,
    ) -> None:
        """Set up a repair.

        Args:
            table: reads the table.
            index: reads the index.
            table_sink: writes to the table, as its consumer does.
            index_sink: writes to the index, as its consumer does.
            corrections: corrects the index.
            clock: the clock.
        """
        self._table = table
        self._index = index
        self._table_sink = table_sink
        self._index_sink = index_sink
        self._corrections = corrections
        self._clock = clock

    def plan(self, differing: Iterable[DifferingImage], images: int) -> RepairPlan:
        """What `apply` would do now. Writes nothing.

        Args:
            differing: what an audit found.
            images: the number of all images.
        """
        counts: Counter[tuple[DifferenceKind, Action]] = Counter()
        examples: dict[tuple[DifferenceKind, Action], list[Example]] = {}
        for one, decision in self._decided(differing):
            action = action_of(decision)
            if action is None:
                continue
            row = one.kind, action
            counts[row] += 1
            if counts[row] <= EXAMPLES:
                examples.setdefault(row, []).append(Example(one.image_id, in_words(decision)))
        told = sum(count for (_, action), count in counts.items() if action == "tell")
        return RepairPlan(
            planned=[
                PlannedAction(kind, action, count, examples[kind, action])
                for (kind, action), count in sorted(counts.items())
            ],
            images=images,
            changes=counts.total() - told,
            told=told,
        )

    def apply(
        self,
        differing: Iterable[DifferingImage],
        on_progress: Callable[[int], None] = lambda _: None,
    ) -> Repaired:
        """Repair these images, in passes, until they are equal or cannot be repaired.

        Raises:
            MisconfiguredError: no right to write to a store, or it does not exist.
        """
        written: Counter[Action] = Counter()
        told: dict[str, str] = {}
        passes, waited, pause = 0, 0.0, 1.0
        left = differing
        for _ in range(MOST_PASSES):
            done = _Pass()
            for some in batched(left, LOOKUP):
                self._repair(some, done)
                on_progress(written.total() + done.written.total())
            written += done.written
            told |= done.told
            passes += bool(done.written)
            left = done.left
            if not left or waited >= PATIENCE_SECONDS:
                break
            if not done.written:
                self._clock.sleep(pause)
                waited += pause
                pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
        return Repaired(
            passes=passes,
            written=dict(sorted(written.items())),
            told=[Example(image_id, why) for image_id, why in told.items()],
            unfinished=[Example(one.image_id, done.reasons.get(one.image_id, "")) for one in left],
        )

    def _decided(
        self, differing: Iterable[DifferingImage]
    ) -> Iterator[tuple[DifferingImage, Decision]]:
        """Each image, and the decision about it now."""
        for some in batched(differing, LOOKUP):
            image_ids = [one.image_id for one in some]
            table, index = self._table.lookup_whole(image_ids), self._index.lookup_whole(image_ids)
            for one in some:
                yield (
                    one,
                    decide(
                        table.get(one.image_id, Absent()),
                        index.get(one.image_id, Absent()),
                        now=self._clock.now(),
                    ),
                )

    def _repair(self, some: Sequence[DifferingImage], done: "_Pass") -> None:
        """Apply the decisions; the next pass checks the images that were written."""
        decided = list(self._decided(some))
        outcomes = self._written([decision for _, decision in decided])
        for one, decision in decided:
            action = action_of(decision)
            if action is None:
                continue
            if isinstance(decision, NeedsOperator):
                done.told[one.image_id] = decision.why
                continue
            match outcomes[one.image_id]:
                case Applied() | Duplicate():
                    done.written[action] += 1
                case Refused(detail):
                    done.told[one.image_id] = detail
                    continue
                case outcome:
                    done.reasons[one.image_id] = getattr(
                        outcome, "detail", "it was written meanwhile"
                    )
            done.left.append(one)

    def _written(self, decisions: Sequence[Decision]) -> Mapping[str, Outcome]:
        """Write what is decided; returns the outcome of each image."""
        table = [one.change for one in decisions if isinstance(one, WriteTable | Republish)]
        in_table = _by_image(table, _write(self._table_sink, table))
        # The table first: if the repair is interrupted here, a later repair writes the index.
        index = [
            one.change
            for one in decisions
            if isinstance(one, WriteIndex)
            or (isinstance(one, Republish) and in_table[one.change.image_id] == Applied())
        ]
        overwrite = [one.change for one in decisions if isinstance(one, OverwriteIndex)]
        remove = [
            Removal(one.image_id, one.checked_version)
            for one in decisions
            if isinstance(one, RemoveFromIndex | RecreateDocument)
        ]
        return {
            **in_table,
            **_by_image(index, _write(self._index_sink, index)),
            **_by_image(overwrite, self._corrections.overwrite(overwrite)),
            **_by_image(remove, self._corrections.remove(remove)),
        }


class _Pass:
    """What one pass did, and the images that it leaves to the next pass, with reasons."""

    def __init__(self) -> None:
        self.written: Counter[Action] = Counter()
        self.told: dict[str, str] = {}
        self.left: list[DifferingImage] = []
        self.reasons: dict[str, str] = {}


def check_limit(plan: RepairPlan, at_most: float) -> None:
    """Allow a plan that writes at most this share of all images, in percent.

    Raises:
        OverLimitError: it would write more.
    """
    if plan.percent > at_most:
        raise OverLimitError(
            f"{plan.changes:,} of {plan.images:,} images would be written: {plan.percent:.3g} % is "
            f"more than {at_most:g} %, so nothing is written. To write them, add --at-most "
            f"{_rounded_up(plan.percent):g}"
        )


def _rounded_up(percent: float) -> float:
    return math.ceil(percent * 10) / 10


_ACTIONS: Mapping[type, Action] = {
    WriteIndex: "write_index",
    WriteTable: "write_table",
    OverwriteIndex: "overwrite_index",
    Republish: "republish",
    RemoveFromIndex: "leave_index",
    RecreateDocument: "forget",
    NeedsOperator: "tell",
}


def action_of(decision: Decision) -> Action | None:
    """The decision's name in a report; None if there is nothing to do."""
    return _ACTIONS.get(type(decision))


def in_words(decision: Decision) -> str:
    """The decision about one image, for an operator."""
    match decision:
        case Agree():
            return "both stores are equal"
        case WriteIndex(change):
            return f"write version {change.version} of the table to the index"
        case WriteTable(change):
            return f"write version {change.version} of the index to the table"
        case OverwriteIndex(change):
            return f"overwrite version {change.version} of the index with the table's"
        case Republish(change):
            return f"write to both stores as version {change.version}"
        case RemoveFromIndex(_, version):
            return f"remove version {version} from the index: the table no longer has the image"
        case RecreateDocument(_, version):
            return f"remove version {version} from the index; write the table's a minute later"
        case NeedsOperator(why):
            return why
        case _:
            assert_never(decision)


def _by_image(
    written: Sequence[Change] | Sequence[Removal], outcomes: Sequence[Outcome]
) -> Mapping[str, Outcome]:
    return {one.image_id: outcome for one, outcome in zip(written, outcomes, strict=True)}


def _write(sink: Sink, changes: Sequence[Change]) -> Sequence[Outcome]:
    """Write changes of different images, as the handlers do."""
    return write_all(changes, sink)
