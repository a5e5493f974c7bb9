"""What an audit needs to know of the two stores that it compares, and of what their entries mean.

One store is the system of record, the other one a replica of it. The audit of images compares the
table with the index (`image_comparison.py`), that of a replica in Table Store any DynamoDB table
with its rows (`lockstep/tablestore/comparison.py`).
"""

from collections.abc import Set as AbstractSet
from typing import Protocol

from lockstep.audit.ahead import AheadKind
from lockstep.audit.suspects import Suspect
from lockstep.stores.entry import Entry


class DifferenceRule(Protocol):
    """When two entries differ."""

    def difference(self, record: Entry | None, replica: Entry | None, *, now: float) -> str | None:
        """How the two stores differ in one image; None if they are equal.

        Args:
            record: the entry of the system of record, if it has one.
            replica: the entry of the replica, if it has one.
            now: seconds since 1970.
        """
        ...


class Comparison(DifferenceRule, Protocol):
    """Two stores.

    `record` and `replica` are their names. `replica_first`: look the replica up first.
    """

    @property
    def record(self) -> str:
        """The name of the system of record."""
        ...

    @property
    def replica(self) -> str:
        """The name of the replica."""
        ...

    @property
    def replica_first(self) -> bool:
        """Whether a lookup must read the replica before the system of record."""
        ...

    def verdict(
        self,
        suspect: Suspect,
        record: Entry | None,
        replica: Entry | None,
        *,
        until: float,
        now: float,
    ) -> Suspect | str | None:
        """What a lookup shows: the kind of a proved difference, or None: no difference.

        Otherwise, the suspect: it may differ because a consumer lags.

        Args:
            suspect: the image.
            record: its entry in the system of record, if there is one.
            replica: its entry in the replica, if there is one.
            until: the consumers have processed all that arrived until then, in ms since 1970.
            now: seconds since 1970, after the lookup.
        """
        ...

    def ahead(
        self,
        record: Entry | None,
        replica: Entry | None,
        *,
        now: float,
        quarantined_by: AbstractSet[str],
    ) -> AheadKind | None:
        """What the replica has that the system of record lacks.

        Args:
            record: the entry of the system of record, if it has one.
            replica: the entry of the replica, if it has one.
            now: seconds since 1970.
            quarantined_by: the consumers that have a record of the image in quarantine.
        """
        ...
