"""Acknowledgements of losses, in the bucket of the quarantine: `acknowledged/TIME.json`.

No consumer may write there: a test of the template's policies checks it.
"""

import msgspec

from lockstep.console.errors import UserError
from lockstep.stores.objects import Objects
from lockstep.stream.losses import Acknowledgement

ACKNOWLEDGED = "acknowledged/"


class AcknowledgementError(UserError):
    """An acknowledgement cannot be read or made; the message says why, in one line."""


def read_acknowledgements(bucket: Objects) -> list[Acknowledgement]:
    """All acknowledgements.

    Raises:
        AcknowledgementError: an object is none. It is not ignored: the audit would be unknown, and
            nobody would see why.
    """
    found = []
    for key in bucket.keys(ACKNOWLEDGED):
        body = bucket.read(key)
        if body is None:  # deleted after it was listed
            continue
        try:
            found.append(msgspec.json.decode(body, type=Acknowledgement))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            message = (
                f"{key} in the bucket is not an acknowledgement ({error}): delete or repair it"
            )
            raise AcknowledgementError(message) from None
    return found


def write_acknowledgement(bucket: Objects, made: Acknowledgement) -> str:
    """Store an acknowledgement durably; return its key."""
    key = f"{ACKNOWLEDGED}{made.acknowledged_at:%Y%m%dT%H%M%S.%fZ}.json"
    bucket.write_new(key, msgspec.json.encode(made))
    return key
