"""The meaning of a record, independent of the product: what its author meant, or poison."""

import msgspec

from lockstep.simulation.fakes.kinesis import AcceptedRecord
from lockstep.simulation.oracle import Meaning, too_far_ahead
from shared.event import Reason

# The fakes refuse images with these names.
REFUSED_BY_TABLE = "refused by the table"
CONDEMNED_BY_TABLE = "condemned by the table"
REFUSED_BY_INDEX = "refused by the index"


class Poison(msgspec.Struct, frozen=True):
    """A record that is not a valid event, and the reason."""

    reason: Reason


type Interpretation = Meaning | Poison


def interpret(meant: Interpretation, accepted: AcceptedRecord) -> Interpretation:
    """What a record means to a consumer: its key and its arrival may make an event invalid.

    Args:
        meant: what the author of its data meant.
        accepted: the record.
    """
    if isinstance(meant, Poison):
        return meant
    if meant.image_id != accepted.partition_key:
        return Poison("partition_key")
    if too_far_ahead(meant.version, accepted.arrived_ms):
        return Poison("version_ahead")
    return meant
