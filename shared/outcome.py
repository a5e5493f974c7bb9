"""The outcome: what became of a change in one store. A closed family of words."""

import msgspec


class Applied(msgspec.Struct, frozen=True):
    """The store holds this version now; before, it held a lower one or none."""


class Duplicate(msgspec.Struct, frozen=True):
    """The store held this very version already, with the same content."""


class Stale(msgspec.Struct, frozen=True):
    """The store holds a higher version: this one came too late, and nothing is lost."""


class Conflict(msgspec.Struct, frozen=True):
    """The store holds this very version with other content: two events claim one version."""

    detail: str


class Refused(msgspec.Struct, frozen=True):
    """The store can never take this change."""

    detail: str


class Failed(msgspec.Struct, frozen=True):
    """Not this time; the same change may work later."""

    detail: str


type Outcome = Applied | Duplicate | Stale | Conflict | Refused | Failed
