"""Faults on demand: what tests let a request or a row fail with."""

from collections.abc import Callable
from dataclasses import dataclass

from lockstep.local.tablestore.errors import TableStoreError
from lockstep.local.tablestore.values import Cell, Key


@dataclass(frozen=True, slots=True)
class Attempt:
    """What is about to happen: a whole request (`key` is None), or what it does with one row.

    `cells` are the columns that it writes.
    """

    operation: str
    table: str | None = None
    key: Key | None = None
    cells: tuple[Cell, ...] = ()


@dataclass(frozen=True, slots=True)
class Fault:
    """What the answer says instead. `applied`: the write takes effect all the same."""

    error: TableStoreError
    applied: bool = False


type Faults = Callable[[Attempt], Fault | None]
"""Called once for each request, then once for each of its rows."""


def no_faults(_attempt: Attempt) -> Fault | None:
    """Nothing fails."""
    return None


SERVER_BUSY = TableStoreError("OTSServerBusy", "Server is busy.")
PARTITION_UNAVAILABLE = TableStoreError(
    "OTSPartitionUnavailable", "The partition is not available."
)
TIMEOUT = TableStoreError("OTSTimeout", "Operation timeout.")
SERVER_UNAVAILABLE = TableStoreError("OTSServerUnavailable", "Server is not available.")
INTERNAL_ERROR = TableStoreError("OTSInternalServerError", "Internal server error.")
ROW_CONFLICT = TableStoreError(
    "OTSRowOperationConflict", "Data is being modified by the other request."
)
TABLE_NOT_READY = TableStoreError("OTSTableNotReady", "The table is not ready.")
TOO_FREQUENT = TableStoreError("OTSQuotaExhausted", "Too frequent table operations.")
NO_CAPACITY = TableStoreError("OTSNotEnoughCapacityUnit", "Remaining capacity unit is not enough.")
FLOW_CONTROL = TableStoreError("OTSFlowControl", "The requests have been throttled.")
NO_PERMISSION = TableStoreError(
    "OTSNoPermissionAccess",
    "You have no permission to access the requested resource, please contact the resource owner",
)
DENIED_BY_ACL = TableStoreError("OTSAuthFailed", "Request denied by instance ACL policies.")
