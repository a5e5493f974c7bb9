"""Acknowledgements of losses, in the bucket of the quarantine: `acknowledged/TIME.json`.

No consumer may write there: a test of the template's policies checks it.
"""

import datetime as dt

import msgspec

from lockstep.console.errors import UserError
from lockstep.stores.objects import Objects
from lockstep.stream.losses import Acknowledgement, Unread, typed

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


def acknowledgement_of(
    found: Unread, since: dt.datetime, reason: str, *, now: dt.datetime
) -> Acknowledgement:
    """The acknowledgement of these losses.

    Args:
        found: why the stores may lack events.
        since: the time that status and audit print. Another time is refused: then the operator has
            not seen the present losses.
        reason: what was done.
        now: the current time.

    Raises:
        AcknowledgementError: there is no loss, or the stores may lack events since another time.
    """
    if not found.losses:
        raise AcknowledgementError(
            "there is no loss to acknowledge"
            + "".join(f"; {one.consumer} is {one.state}: make it read" for one in found.stopped)
        )
    if found.since != since:
        raise AcknowledgementError(
            f"the stores may lack events since {typed(found.since)}, not since {typed(since)}: see "
            "`lockstep status`"
        )
    return Acknowledgement(since, reason, now, found.losses)


def write_acknowledgement(bucket: Objects, made: Acknowledgement) -> str:
    """Store an acknowledgement durably; return its key."""
    key = f"{ACKNOWLEDGED}{made.acknowledged_at:%Y%m%dT%H%M%S.%fZ}.json"
    bucket.write_new(key, msgspec.json.encode(made))
    return key
