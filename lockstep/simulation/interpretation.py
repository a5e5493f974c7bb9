"""The meaning of a record, independent of the stores: a change, or poison."""

import datetime as dt

import msgspec

from lockstep.simulation.fakes.kinesis import AcceptedRecord
from shared.change import Change, change_from
from shared.event import InvalidEventError, Reason
from shared.record import Record, event_in

# The retention of the stream, as in template.yaml.
RETENTION = dt.timedelta(days=7)

# The fakes refuse images with these names.
REFUSED_BY_TABLE = "refused by the table"
CONDEMNED_BY_TABLE = "condemned by the table"
REFUSED_BY_INDEX = "refused by the index"


class Poison(msgspec.Struct, frozen=True):
    """A record that is not a valid event, and the reason."""

    reason: Reason


type Interpretation = Change | Poison


def interpret(accepted: AcceptedRecord) -> Interpretation:
    """The meaning of a record by the rules of the consumers, which the unit tests prove."""
    record = Record(
        stream="",
        shard_id=accepted.shard_id,
        sequence_number=accepted.sequence_number,
        partition_key=accepted.partition_key,
        arrived_at=round(accepted.arrived_at * 1000),
        data=accepted.data,
    )
    try:
        return change_from(event_in(record), record)
    except InvalidEventError as invalid:
        return Poison(invalid.reason)
