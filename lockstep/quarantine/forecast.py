"""Says what an audit and a repair do about an image once its record is discarded."""

from typing import assert_never

import msgspec

from lockstep.audit.ahead import AheadKind, ahead
from lockstep.audit.compare import DifferenceKind, difference
from lockstep.stores.entry import Entry


class StaysEqual(msgspec.Struct, frozen=True):
    """Both stores are equal in this image: neither has the event, or both have a newer one."""


class StaysExplained(msgspec.Struct, frozen=True):
    """Only the index has the image, and another record of it in quarantine explains that."""


class NeedsAnswer(msgspec.Struct, frozen=True):
    """The index is ahead: a repair leaves it, and an operator's answer settles it."""

    ahead: AheadKind


class IsRepaired(msgspec.Struct, frozen=True):
    """A repair writes the table's content to the index."""

    difference: DifferenceKind


class NeedsEvent(msgspec.Struct, frozen=True):
    """The item in the table is malformed, and the index cannot replace it: put the image again."""


type Forecast = StaysEqual | StaysExplained | NeedsAnswer | IsRepaired | NeedsEvent


def forecast(table: Entry | None, index: Entry | None, *, now: float, explained: bool) -> Forecast:
    """What an audit says of the image then, if no event arrives meanwhile.

    Args:
        table: the table's entry, if it has one.
        index: the index's entry, if it has one.
        now: seconds since 1970.
        explained: whether the table's consumer then still has a record of the image in quarantine.
    """
    kind = difference(table, index, now=now)
    if kind is None:
        return StaysEqual()
    match ahead(table, index, now=now, explained=explained):
        case "explained":
            return StaysExplained()
        case None if table is not None and table.malformed:
            return NeedsEvent()
        case None:
            return IsRepaired(kind)
        case other:
            return NeedsAnswer(other)


def in_words(what: Forecast) -> str:
    """What an audit and a repair do then, for an operator."""
    match what:
        case StaysEqual():
            return "both stores are equal: an audit and a repair change nothing"
        case StaysExplained():
            return "only the index has it: an audit counts it as explained by another record"
        case NeedsAnswer(kind):
            return (
                f"the index is ahead ({kind}): a repair leaves it, and your answer settles it "
                "(audit --repair --table-wins or --index-wins)"
            )
        case IsRepaired(kind):
            return f"the stores differ ({kind}): a repair writes the table's content to the index"
        case NeedsEvent():
            return "the item in the table is malformed: put the image again"
        case _:
            assert_never(what)
