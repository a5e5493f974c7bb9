"""The repair: decides about each difference and applies the decision to the index.

It never writes the table. Every write goes through the handler's sink with its version check,
except for the corrections of the index (`lockstep.stores.corrections`). So a repair is safe while
the stream flows, and safe to run twice. Each decision is made from what both stores hold at that
moment.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import batched
from typing import Literal, Protocol, assert_never

import msgspec

from lockstep.audit.ahead import AheadKind
from lockstep.audit.compare import DifferenceKind
from lockstep.audit.recheck import Difference
from lockstep.console.errors import UserError
from lockstep.repair.decide import (
    Agree,
    Ahead,
    Decision,
    NeedsOperator,
    OverwriteIndex,
    RecreateDocument,
    WriteIndex,
    decide,
)
from lockstep.stores.corrections import Removal
from lockstep.stores.image_state import Absent
from lockstep.stores.readers import LOOKUP, WholeLookup
from shared.change import Change
from shared.clock import Clock
from shared.outcome import Applied, Duplicate, Failed, Outcome, Refused
from shared.sink import RequestFailedError, Sink, write_all

EXAMPLES = 3
# OpenSearch keeps the version of a deleted document for a minute or somewhat longer.
PATIENCE_SECONDS = 100.0
LONGEST_PAUSE_SECONDS = 10.0
# An image that still differs after so many passes that wrote it is changed by somebody else.
MOST_PASSES = 50

Action = Literal["write_index", "overwrite_index", "forget", "leave", "decide"]
# These do not write.
_LEFT: Sequence[Action] = ("leave", "decide")


class IndexCorrections(Protocol):
    """See `lockstep.stores.corrections.Corrections`."""

    def overwrite(self, changes: Sequence[Change]) -> Sequence[Outcome]:
        """Write changes, also over documents of the same version."""
        ...

    def remove(self, removals: Sequence[Removal]) -> Sequence[Outcome]:
        """Remove documents from the index."""
        ...


class DifferingImage(msgspec.Struct, frozen=True):
    """An image that differs, how, and what the index has of it that the table lacks."""

    image_id: str
    kind: DifferenceKind
    ahead: AheadKind | None = None


def differing_image(found: Difference) -> DifferingImage:
    """What a repair needs of a difference between the table and the index."""
    return DifferingImage(found.image_id, msgspec.convert(found.kind, DifferenceKind), found.ahead)


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

    `changes` of all `images` would be written. `ahead` images stay, because the index is ahead;
    `undecided` images need an operator.
    """

    planned: Sequence[PlannedAction]
    images: int
    changes: int
    ahead: int
    undecided: int

    @property
    def percent(self) -> float:
        """The share of all images that would be written."""
        return 100 * self.changes / max(1, self.images)

    @property
    def moved(self) -> int:
        """How many of them have a moved `_version`, so that they would be hidden for a minute."""
        return sum(row.images for row in self.planned if row.action == "forget")


class OverLimitError(UserError):
    """A repair would write more images than allowed; nothing is written."""


class Repaired(msgspec.Struct, frozen=True):
    """What a repair did.

    `passes`: how many passes wrote something. `written`: images by action. `ahead`: images that
    stay, because the index is ahead. `undecided`: images that need an operator. `not_repaired`:
    images that could not be written, and why; a retry may succeed.
    """

    passes: int
    written: Mapping[str, int]
    ahead: int
    undecided: Sequence[Example]
    not_repaired: Sequence[Example]


class Repair:
    """Repairs the differences of one stack."""

    def __init__(
        self,
        table: WholeLookup,
        index: WholeLookup,
        *,
        index_sink: Sink,
        corrections: IndexCorrections,
        clock: Clock,
    ) -> None:
        """Set up a repair.

        Args:
            table: reads the table.
            index: reads the index.
            index_sink: writes to the index, as its consumer does.
            corrections: corrects the index.
            clock: the clock.
        """
        self._table = table
        self._index = index
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
        by_action: Counter[Action] = Counter()
        for (_, action), count in counts.items():
            by_action[action] += count
        return RepairPlan(
            planned=[
                PlannedAction(kind, action, count, examples[kind, action])
                for (kind, action), count in sorted(counts.items())
            ],
            images=images,
            changes=by_action.total() - sum(by_action[one] for one in _LEFT),
            ahead=by_action["leave"],
            undecided=by_action["decide"],
        )

    def apply(
        self,
        differing: Iterable[DifferingImage],
        on_progress: Callable[[int], None] = lambda _: None,
    ) -> Repaired:
        """Repair these images, in passes, until they are equal or cannot be repaired.

        Raises:
            MisconfiguredError: no right to write to the index, or it does not exist.
        """
        written: Counter[Action] = Counter()
        ahead: set[str] = set()
        undecided: dict[str, str] = {}
        passes, hurried, waiting = 0, 0, _Waiting(self._clock)
        left = differing
        while True:
            done = _Pass()
            for some in batched(left, LOOKUP):
                self._repair(some, done)
                on_progress(written.total() + done.written.total())
            written += done.written
            undecided |= done.undecided
            ahead |= done.ahead
            passes += bool(done.written)
            left = done.left
            if not done.reasons:
                # All that is left was written, and is checked at once.
                hurried += 1
                if not left or hurried == MOST_PASSES:
                    break
            elif not waiting.is_worth_it(len(done.reasons)):
                break
        return Repaired(
            passes=passes,
            written=dict(sorted(written.items())),
            ahead=len(ahead),
            undecided=[Example(image_id, why) for image_id, why in undecided.items()],
            not_repaired=[
                Example(one.image_id, done.reasons.get(one.image_id, "")) for one in left
            ],
        )

    def remove_to_write_again(self, removals: Sequence[Removal]) -> Sequence[Outcome]:
        """Remove documents that are written again later.

        An index of another release could refuse them then, and readers would lose the image.

        Raises:
            MisconfiguredError: the index mapping is not ours, and nothing is removed.
        """
        if not removals:
            return []
        try:
            self._index_sink.check()
        except RequestFailedError as error:
            return [Failed(str(error))] * len(removals)
        return self._corrections.remove(removals)

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
                        explained=one.ahead == "explained",
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
                done.undecided[one.image_id] = decision.why
                continue
            if isinstance(decision, Ahead):
                done.ahead.add(one.image_id)
                continue
            match outcomes[one.image_id]:
                case Applied() | Duplicate():
                    done.written[action] += 1
                case Refused(detail):
                    done.undecided[one.image_id] = detail
                    continue
                case outcome:
                    done.reasons[one.image_id] = getattr(
                        outcome, "detail", "it was written meanwhile"
                    )
            done.left.append(one)

    def _written(self, decisions: Sequence[Decision]) -> Mapping[str, Outcome]:
        """Write what is decided; returns the outcome of each image."""
        write = [one.change for one in decisions if isinstance(one, WriteIndex)]
        overwrite = [one.change for one in decisions if isinstance(one, OverwriteIndex)]
        remove = [
            Removal(one.image_id, one.checked_version)
            for one in decisions
            if isinstance(one, RecreateDocument)
        ]
        return {
            **_by_image(write, write_all(write, self._index_sink)),
            **_by_image(overwrite, self._corrections.overwrite(overwrite)),
            **_by_image(remove, self.remove_to_write_again(remove)),
        }


class _Waiting:
    """Waits between passes as long as fewer and fewer images cannot be written yet."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._fewest: float = math.inf
        self._waited, self._pause = 0.0, 1.0

    def is_worth_it(self, failed: int) -> bool:
        """Wait before the next pass; false if no progress was made for too long.

        Args:
            failed: how many images the last pass could not write.
        """
        if failed < self._fewest:
            self._fewest = failed
            self._waited, self._pause = 0.0, 1.0
        if self._waited >= PATIENCE_SECONDS:
            return False
        self._clock.sleep(self._pause)
        self._waited += self._pause
        self._pause = min(2 * self._pause, LONGEST_PAUSE_SECONDS)
        return True


class _Pass:
    """What one pass did, and the images that it leaves to the next pass, with reasons."""

    def __init__(self) -> None:
        self.written: Counter[Action] = Counter()
        self.undecided: dict[str, str] = {}
        self.ahead: set[str] = set()
        self.left: list[DifferingImage] = []
        self.reasons: dict[str, str] = {}


class Limited(Protocol):
    """A plan that changes some of all images."""

    @property
    def changes(self) -> int:
        """How many images it changes."""
        ...

    @property
    def images(self) -> int:
        """The number of all images."""
        ...

    @property
    def percent(self) -> float:
        """The share that it changes."""
        ...


def check_limit(plan: Limited, at_most: float, instead: str = "", of: str = "images") -> None:
    """Allow a plan that writes at most this share of all images, in percent.

    Args:
        plan: the plan.
        at_most: the limit, in percent.
        instead: what would be better than a higher limit.
        of: what the plan counts.

    Raises:
        OverLimitError: it would write more.
    """
    if plan.percent <= at_most:
        return
    raise OverLimitError(
        f"{plan.changes:,} of {plan.images:,} {of} would be written: {plan.percent:.3g} % is "
        f"more than {at_most:g} %, so nothing is written. {instead}To write them, add --at-most "
        f"{_rounded_up(plan.percent):g}"
    )


def _rounded_up(percent: float) -> float:
    return math.ceil(percent * 10) / 10


_ACTIONS: Mapping[type, Action] = {
    WriteIndex: "write_index",
    OverwriteIndex: "overwrite_index",
    RecreateDocument: "forget",
    Ahead: "leave",
    NeedsOperator: "decide",
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
        case OverwriteIndex(change):
            return f"overwrite version {change.version} of the index with the table's"
        case RecreateDocument(_, version):
            return f"remove version {version} from the index; write the table's a minute later"
        case Ahead(_, why, is_malformed=True):
            return f"{why}: only `audit --repair --table-wins FILE` settles it"
        case Ahead(_, why) | NeedsOperator(why):
            return why
        case _:
            assert_never(decision)


def _by_image(
    written: Sequence[Change] | Sequence[Removal], outcomes: Sequence[Outcome]
) -> Mapping[str, Outcome]:
    return {one.image_id: outcome for one, outcome in zip(written, outcomes, strict=True)}
