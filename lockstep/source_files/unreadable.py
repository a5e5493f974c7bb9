"""A record that cannot be read from its file, and how long a record may be."""

import msgspec

from shared.event import Reason

# Enough for an event of 256 KiB, and for the source fields that a mapping file ignores.
MAX_LINE_BYTES = 1024 * 1024


class UnreadableRecord(msgspec.Struct, frozen=True):
    """A record that cannot be read.

    Attributes:
        text: its bytes, or their beginning.
        reason: what is wrong, as in the quarantine.
        detail: what is wrong, and how to correct it.
    """

    text: bytes
    reason: Reason
    detail: str
