"""The outcome: what happened to a change in one store. A closed family."""

import msgspec


class Applied(msgspec.Struct, frozen=True):
    """The store now holds this version. Before, it held a lower version or none."""


class Duplicate(msgspec.Struct, frozen=True):
    """The store already held this version with the same content."""


class Stale(msgspec.Struct, frozen=True):
    """The store holds a higher version, so nothing is written. Nothing is lost."""


class Conflict(msgspec.Struct, frozen=True):
    """The store holds this version with different content: two events claim one version."""

    detail: str


class Refused(msgspec.Struct, frozen=True):
    """The store can never accept this change."""

    detail: str


class Failed(msgspec.Struct, frozen=True):
    """The store did not accept the change this time. A retry may succeed."""

    detail: str


type Outcome = Applied | Duplicate | Stale | Conflict | Refused | Failed
