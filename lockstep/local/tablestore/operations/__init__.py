"""The operations of the Table Store endpoint: one function for each operation."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from lockstep.local.tablestore.endpoint import TableStoreEndpoint
from lockstep.local.tablestore.messages import tables as pb
from lockstep.local.tablestore.operations import reading, tables, writing

type OperationFunction = Callable[[TableStoreEndpoint, Any], Any]

OPERATIONS: Mapping[str, tuple[Any, OperationFunction]] = MappingProxyType(
    {
        "BatchGetRow": (pb.BatchGetRowRequest, reading.batch_get_row),
        "BatchWriteRow": (pb.BatchWriteRowRequest, writing.batch_write_row),
        "CreateTable": (pb.CreateTableRequest, tables.create_table),
        "DeleteRow": (pb.DeleteRowRequest, writing.delete_row),
        "DeleteTable": (pb.DeleteTableRequest, tables.delete_table),
        "DescribeTable": (pb.DescribeTableRequest, tables.describe_table),
        "GetRange": (pb.GetRangeRequest, reading.get_range),
        "GetRow": (pb.GetRowRequest, reading.get_row),
        "ListTable": (pb.ListTableRequest, tables.list_table),
        "PutRow": (pb.PutRowRequest, writing.put_row),
        "UpdateRow": (pb.UpdateRowRequest, writing.update_row),
        "UpdateTable": (pb.UpdateTableRequest, tables.update_table),
    }
)
"""The message of each operation's request, and what answers it, or raises TableStoreError."""
