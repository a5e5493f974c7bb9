"""The outcome: what happened to a change in one store. A closed family of words."""

import msgspec


class Applied(msgspec.Struct, frozen=True):
    """The store now holds this version. Before, it held a lower one or none."""


class Duplicate(msgspec.Struct, frozen=True):
    """The store already held this version with the same content."""


class Stale(msgspec.Struct, frozen=True):
    """The store holds a higher version. This one came too late; nothing is lost."""


class Conflict(msgspec.Struct, frozen=True):
    """The store holds this version with different content: two events claim one version."""

    detail: str


class Refused(msgspec.Struct, frozen=True):
    """The store can never take this change."""

    detail: str


class Failed(msgspec.Struct, frozen=True):
    """The store did not take the change this time; a retry may succeed."""

    detail: str


type Outcome = Applied | Duplicate | Stale | Conflict | Refused | Failed
