"""From a record of the table's stream to the change of a row."""

from collections.abc import Callable, Mapping
from typing import Any

from msgspec import UNSET

from functions.write_to_tablestore import guard
from functions.write_to_tablestore.conversion import Conversion, OtherKeyError
from functions.write_to_tablestore.rows import RowChange, RowPut, RowRemoval
from functions.write_to_tablestore.values import ConversionError
from shared.event import InvalidEventError
from shared.horizon import end_of_tombstone
from shared.record import Record
from shared.sink import MisconfiguredError
from shared.table_stream import SOURCE, keys_as_text, record_of, table_change_in

# The views that contain the whole new item.
VIEWS = ("NEW_AND_OLD_IMAGES", "NEW_IMAGE")


def record_in(record: Mapping[str, Any]) -> Record:
    """Read one entry of an invocation's `Records`.

    Raises:
        MisconfiguredError: it does not come from the stream of a table, or the stream has a view
            without the new item.
    """
    if record["eventSource"] != SOURCE:
        raise MisconfiguredError(
            f"the records come from {record['eventSource']}: connect the stream of a DynamoDB table"
        )
    view = record["dynamodb"].get("StreamViewType")
    if view not in VIEWS:
        raise MisconfiguredError(f"the table's stream has view {view}: set it to {VIEWS[0]}")
    return record_of(record, keys_as_text(record["dynamodb"]["Keys"]))


def changes_by(conversion: Conversion, label: str | None) -> Callable[[Record], RowChange]:
    """A function that reads the change of a row in a record.

    It raises InvalidEventError if the record can never be applied, and MisconfiguredError if the
    key of the source is not the one of the settings.

    Args:
        conversion: how items become rows.
        label: the label of the stream for all versions, normalized; None: the one in the ARN.
    """

    def change_in(record: Record) -> RowChange:
        try:
            return _change(record, conversion, label)
        except ConversionError as error:
            raise InvalidEventError("refused_by_store", str(error)) from None
        except OtherKeyError as error:
            raise MisconfiguredError(str(error)) from None
        except ValueError as error:
            raise InvalidEventError("malformed", str(error)) from None

    return change_in


def _change(record: Record, conversion: Conversion, label: str | None) -> RowChange:
    found = table_change_in(record)
    version = guard.version(label or guard.label_in(record.stream), record.sequence_number)
    key = conversion.key_of(found.images.keys)
    if found.name == "REMOVE":
        return RowRemoval(
            id=record.partition_key,
            key=key,
            version=version,
            at=record.arrived_at,
            purge_at=end_of_tombstone(record.arrived_at),
        )
    new = found.images.new
    if new is UNSET:
        raise ValueError("NewImage is missing")
    if any(new.get(name) != value for name, value in found.images.keys.items()):
        raise ValueError("the key in NewImage is not that of the record")
    return RowPut(
        id=record.partition_key,
        key=key,
        version=version,
        at=record.arrived_at,
        columns=conversion.columns_of(new),
    )
