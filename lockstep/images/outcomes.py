"""What became of a change of one image, and somebody else's events that came between."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

import msgspec
from msgspec import UNSET

from lockstep.images.events import ShownEvent, StreamEvent, shown
from lockstep.images.held import HeldImage
from shared.event import Event, digest

ChangeResult = Literal[
    "delivered",
    "unchanged",
    "not_put",
    "absent",
    "overwrote",
    "overtaken",
    "conflict",
    "quarantined",
    "not_delivered",
    "not_checked",
]


class OtherEvent(ShownEvent, frozen=True, kw_only=True, omit_defaults=True):
    """Somebody else's event that came between the reading and the check.

    `fate` is `overwritten` if ours has a higher version, `newer` if it has a higher version than
    ours, and `same_version` otherwise.
    """

    fate: Literal["overwritten", "newer", "same_version"]


class ChangedImage(msgspec.Struct, frozen=True):
    """What became of a change of one image.

    `read` is what the table had, and the change is based on it. `put` is the event on the stream.
    `table` and `index` are what the stores have at the end. `others` are somebody else's events
    that came between.

    `result` is `delivered` if both stores have exactly what was put, and nothing came between.
    `unchanged`: the image already is as wanted, and nothing was put; `not_put`: a dry run.
    `absent`: the table has no such image, and nothing was put. `overwrote`: an event that was not
    read has a lower version, so it is lost. `overtaken`: a store or the stream has a newer version,
    so the change is lost. `conflict`: a store has other content with the same version.
    `quarantined`: a consumer has quarantined the event. `not_delivered`: a store did not have it in
    time. `not_checked`: the stream could not be read, so what came between is unknown.
    """

    image_id: str
    result: ChangeResult
    detail: str
    read: HeldImage | None = None
    put: ShownEvent | None = None
    table: HeldImage | None = None
    index: HeldImage | None = None
    others: Sequence[OtherEvent] = ()


class Planned(msgspec.Struct, frozen=True):
    """A change that was decided: what was read of an image, if anything, and the event to put."""

    read: HeldImage | None
    event: Event
    data: bytes


def others_in(found: Iterable[StreamEvent], one: Planned) -> Sequence[OtherEvent]:
    """Somebody else's events with a higher version than that which was read, each once.

    One with the same version and content as ours is a duplicate for the consumers, and left out.
    """
    ours, read = one.event.version, version_of(one.read)
    same = (ours, one.event.image)
    seen = {
        each.data: each
        for each in reversed([*found])
        if each.event.version > read and (each.event.version, each.event.image) != same
    }
    return [
        OtherEvent(
            **msgspec.structs.asdict(shown(each.event, each.arrived_at)),
            fate="overwritten"
            if each.event.version < ours
            else "newer"
            if each.event.version > ours
            else "same_version",
        )
        for each in reversed(seen.values())
    ]


def own_in(found: Iterable[StreamEvent], one: Planned) -> StreamEvent | None:
    """The event that was put, among those in the stream."""
    return next((each for each in found if each.data == one.data), None)


def judge(
    event: Event,
    stored: Mapping[str, HeldImage | None],
    others: Sequence[OtherEvent],
    *,
    checked: bool,
) -> tuple[ChangeResult, str]:
    """What became of an event, and a sentence that says it.

    Args:
        event: what was put.
        stored: what each store has, by its name.
        others: somebody else's events that came between.
        checked: whether the stream could be read up to the event.
    """
    ours = event.version
    newest = max(
        (*map(version_of, stored.values()), *(one.version for one in others)), default=ours
    )
    if newest > ours:
        return "overtaken", f"version {newest} is newer and replaces version {ours}"
    differing = [
        name for name, held in stored.items() if version_of(held) == ours and not _is(held, event)
    ]
    if differing or any(one.fate == "same_version" for one in others):
        return "conflict", f"another event has the same version {ours}, with other content"
    lost = [str(one.version) for one in others]
    lacking = [name for name, held in stored.items() if version_of(held) < ours]
    late = f"version {ours} is on the stream, and not yet in the {' and the '.join(lacking)}"
    if lost:
        detail = f"version {ours} overwrites {', '.join(lost)}, which came after the reading"
        return "overwrote", f"{detail}; {late}" if lacking else detail
    if lacking:
        return "not_delivered", late
    if not checked:
        unknown = "the stream could not be read: whether another event came between is unknown"
        return "not_checked", f"version {ours} is in both stores, but {unknown}"
    return "delivered", f"version {ours} is in both stores"


def version_of(held: HeldImage | None) -> int:
    """The version that the store's version check compares; 0 if the store has nothing."""
    if held is None:
        return 0
    return held.checked_version or held.version or 0


def _is(held: HeldImage | None, event: Event) -> bool:
    """Whether a store has the content of this event."""
    its = None if event.image is UNSET else digest(event.image)
    return held is not None and held.malformed is None and held.digest == its
