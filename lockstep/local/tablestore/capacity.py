"""The capacity units that Table Store says a request used: one for each 4 KiB, at least one."""

from typing import Any

from lockstep.local.tablestore.messages import tables as pb

_UNIT = 4096


def units(size: int) -> int:
    """The units for so many bytes."""
    return max(1, -(-size // _UNIT))


def consumed(*, read: int = 0, write: int = 0) -> Any:
    """The message about the units that a request used."""
    return pb.ConsumedCapacity(capacity_unit=pb.CapacityUnit(read=read, write=write))
