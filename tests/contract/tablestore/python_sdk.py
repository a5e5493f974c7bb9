"""Tells a story with the SDK for Python."""

import struct
from typing import Any

from tablestore import (
    INF_MAX,
    INF_MIN,
    BatchGetRowRequest,
    BatchWriteRowRequest,
    CapacityUnit,
    ComparatorType,
    CompositeColumnCondition,
    Condition,
    DeleteRowItem,
    LogicalOperator,
    OTSClient,
    OTSServiceError,
    PutRowItem,
    ReservedThroughput,
    Row,
    SingleColumnCondition,
    TableInBatchGetRowItem,
    TableInBatchWriteRowItem,
    TableMeta,
    TableOptions,
    UpdateRowItem,
)
from tablestore.retry import NoRetryPolicy

from tests.contract.tablestore.story import Step, value

BOUNDS = {"INF_MIN": INF_MIN, "INF_MAX": INF_MAX}
ITEMS = {"put": PutRowItem, "update": UpdateRowItem, "delete": DeleteRowItem}


def tell(address: str, region: str, steps: list[Step]) -> list[Any]:
    account = ("local", "local", "local")
    client = OTSClient(address, *account, region=region or None, retry_policy=NoRetryPolicy())
    return [_told(client, step) for step in steps]


def _told(client: Any, step: Step) -> Any:
    try:
        return _answer(client, step)
    except OTSServiceError as error:
        return {"status": error.http_status, "code": error.code, "message": error.message}


def _answer(client: Any, step: Step) -> Any:
    table = step.get("table")
    match step["do"]:
        case "create_table":
            meta = TableMeta(table, [tuple(pair) for pair in step["key"]])
            none = ReservedThroughput(CapacityUnit(0, 0))
            client.create_table(meta, _options(step), none)
            return None
        case "update_table":
            client.update_table(table, _options(step))
            return None
        case "delete_table":
            client.delete_table(table)
            return None
        case "list_table":
            return list(client.list_table())
        case "describe_table":
            found = client.describe_table(table)
            return {
                "key": [list(pair) for pair in found.table_meta.schema_of_primary_key],
                "time_to_live": found.table_options.time_to_live,
                "max_versions": found.table_options.max_version,
                "deviation": found.table_options.max_time_deviation,
            }
        case "write":
            item = _item(step)
            call = getattr(client, f"{step['kind']}_row")
            consumed, _ = call(table, item.row, item.condition)
            return _used(consumed)
        case "batch_write":
            request = BatchWriteRowRequest()
            request.add(TableInBatchWriteRowItem(table, [_item(one) for one in step["rows"]]))
            answer = client.batch_write_row(request)
            rows = answer.table_of_put[table] + answer.table_of_update[table]
            rows += answer.table_of_delete[table]
            return [_item_answer(one) for one in sorted(rows, key=lambda one: one.index)]
        case "get_row":
            consumed, row, _ = client.get_row(table, _key(step["key"]), **_selection(step))
            return _used(consumed) | {"row": _row(row)}
        case "batch_get":
            read = BatchGetRowRequest()
            keys = [_key(one) for one in step["keys"]]
            read.add(TableInBatchGetRowItem(table, keys, **_selection(step)))
            found = client.batch_get_row(read).get_result_by_table(table)
            return [_read_answer(one) for one in found]
        case _:
            consumed, following, rows, _ = client.get_range(
                table,
                step["direction"],
                _key(step["start"]),
                _key(step["end"]),
                limit=step.get("limit"),
                **_selection(step),
            )
            return _used(consumed) | {
                "rows": [_row(row) for row in rows],
                "next": following and _pairs(following),
            }


def _options(step: Step) -> TableOptions:
    return TableOptions(step["time_to_live"], step["max_versions"])


def _item(step: Step) -> Any:
    condition = Condition(step["existence"], _condition(step.get("condition")))
    row = Row(_key(step["key"]), _columns(step))
    return ITEMS[step["kind"]](row, condition)


def _columns(step: Step) -> Any:
    columns = _key(step.get("columns", []))
    if step["kind"] != "update":
        return columns
    changes = {
        "PUT": columns,
        "DELETE_ALL": step["delete"],
        "INCREMENT": _key(step["increment"]),
    }
    return {name: those for name, those in changes.items() if those}


def _selection(step: Step) -> dict[str, Any]:
    return {
        "columns_to_get": step.get("columns", []),
        "column_filter": _condition(step.get("filter")),
        "max_version": step["max_versions"],
    }


def _condition(said: Any) -> Any:
    if said is None:
        return None
    if "column" in said:
        return SingleColumnCondition(
            said["column"],
            _plain(said["value"]),
            getattr(ComparatorType, said["compare"]),
            pass_if_missing=said["pass_if_missing"],
        )
    combined = CompositeColumnCondition(getattr(LogicalOperator, said["combine"]))
    for part in said["parts"]:
        combined.add_sub_condition(_condition(part))
    return combined


def _key(said: Any) -> list[tuple[str, Any]]:
    return [(name, _plain(one)) for name, one in said]


def _plain(said: dict[str, Any]) -> Any:
    ((kind, one),) = said.items()
    match kind:
        case "integer":
            return int(one)
        case "double":
            return struct.unpack(">d", bytes.fromhex(one))[0]
        case "binary":
            return bytearray.fromhex(one)
        case "bound":
            return BOUNDS[one]
        case _:
            return one


def _pairs(columns: Any) -> list[Any]:
    return [[name, value(one)] for name, one, *_ in columns]


def _row(row: Any) -> Any:
    if row is None:
        return None
    return {"key": _pairs(row.primary_key), "columns": _pairs(row.attribute_columns)}


def _used(consumed: Any) -> dict[str, int]:
    return {"read": consumed.read, "write": consumed.write}


def _item_answer(one: Any) -> Any:
    return _used(one.consumed) if one.is_ok else _refused(one)


def _read_answer(one: Any) -> Any:
    return _used(one.consumed) | {"row": _row(one.row)} if one.is_ok else _refused(one)


def _refused(one: Any) -> dict[str, str]:
    return {"code": one.error_code, "message": one.error_message}
