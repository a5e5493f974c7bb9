"""Which content belongs to an erased image, and which is that of a new image with its id."""

from collections.abc import Callable
from typing import Literal

import msgspec


class Limit(msgspec.Struct, frozen=True):
    """Up to where the content of an image is erased: the tombstone that took its place.

    Attributes:
        version: the version of the tombstone.
        arrived_at: the arrival of its deletion, in milliseconds since 1970.
    """

    version: int
    arrived_at: int

    def is_new(self, version: int | None, arrived_at: int | None) -> bool:
        """Whether content is that of an image that was uploaded again.

        It must be later, as far as anything is known of it. Content of a lower version that came
        late is old: no store takes it. Content of a higher version that came before the tombstone
        is old, too: its version was ahead of its time.

        Args:
            version: its version; None if it is unknown.
            arrived_at: its arrival, in milliseconds since 1970; None if it is unknown.
        """
        known = [
            said > limit
            for said, limit in ((version, self.version), (arrived_at, self.arrived_at))
            if said is not None
        ]
        return bool(known) and all(known)


Fate = Literal["erased", "new"]

type Judge = Callable[[str, int | None, int | None], Fate | None]
"""What becomes of content, by its image's id, its version and its arrival; None: it stays."""


def judge_by(limit_of: Callable[[str], Limit | None]) -> Judge:
    """Judges content by the limit of its image; an image without one is not erased."""

    def judge(image_id: str, version: int | None, arrived_at: int | None) -> Fate | None:
        limit = limit_of(image_id)
        if limit is None:
            return None
        return "new" if limit.is_new(version, arrived_at) else "erased"

    return judge
