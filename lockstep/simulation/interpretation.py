"""The meaning of a record, worked out without any store: what must become of it in the end."""

import datetime as dt

import msgspec

from lockstep.simulation.fakes.kinesis import AcceptedRecord
from lockstep.stack.stack import LATENESS
from shared.change import Change, change_from
from shared.event import InvalidEventError, Reason
from shared.record import Record, event_in

# As template.yaml has them: how long the stream keeps a record, how old a quarantined one may be
# that goes back under its old version, and with producers' lateness how long tombstones stay.
RETENTION = dt.timedelta(days=7)
QUARANTINE_AGE = dt.timedelta(days=30)
HORIZON = RETENTION + QUARANTINE_AGE + LATENESS

# Images of these names are such as a store never takes; the fakes are told so.
REFUSED_BY_TABLE = "refused by the table"
CONDEMNED_BY_TABLE = "condemned by the table"
REFUSED_BY_INDEX = "refused by the index"


class Poison(msgspec.Struct, frozen=True):
    """No event: this is the reason."""

    reason: Reason


type Interpretation = Change | Poison


def interpret(accepted: AcceptedRecord) -> Interpretation:
    """By the same rules that consumers obey; their own tests say whether those are right."""
    record = Record(
        stream="",
        shard_id=accepted.shard_id,
        sequence_number=accepted.sequence_number,
        partition_key=accepted.partition_key,
        arrived_at=round(accepted.arrived_at * 1000),
        data=accepted.data,
    )
    try:
        return change_from(event_in(record), record, horizon=HORIZON)
    except InvalidEventError as invalid:
        return Poison(invalid.reason)
