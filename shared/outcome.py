"""The outcome: what happened to a change in one store. A closed family."""

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from shared.event import MAX_VERSION, Time


class Held(msgspec.Struct, frozen=True):
    """What a store holds of an image instead of a change; `arrived_at` in ms since 1970."""

    version: Annotated[int, Meta(ge=1, le=MAX_VERSION)]
    arrived_at: int
    occurred_at: Time


def held(version: Any, arrived_at: Any, occurred_at: Any) -> Held | None:
    """What a store holds, from the fields of its entry; None if the entry is malformed."""
    fields = {"version": version, "arrived_at": arrived_at, "occurred_at": occurred_at}
    try:
        return msgspec.convert(fields, Held)
    except msgspec.ValidationError:
        return None


class Applied(msgspec.Struct, frozen=True):
    """The store now holds this version. Before, it held a lower version or none."""


class Duplicate(msgspec.Struct, frozen=True):
    """The store already held this version with the same content."""

    held: Held | None = None


class Stale(msgspec.Struct, frozen=True):
    """The store holds a higher version, so nothing is written.

    `held` is None if what the store holds is malformed, or no image. `out_of_order`: the change
    happened later than what the store holds, although its version is lower.
    """

    held: Held | None = None
    out_of_order: bool = False


class Conflict(msgspec.Struct, frozen=True):
    """The store holds this version with different content: two events claim one version."""

    detail: str
    held: Held | None = None


class Refused(msgspec.Struct, frozen=True):
    """The store can never accept this change."""

    detail: str


class Failed(msgspec.Struct, frozen=True):
    """The store did not accept the change this time. A retry may succeed."""

    detail: str


type Outcome = Applied | Duplicate | Stale | Conflict | Refused | Failed
