"""The operations on tables."""

from typing import Any

from lockstep.local.tablestore.checks import (
    check_column_name,
    check_key_count,
    check_table_name,
    check_unique,
)
from lockstep.local.tablestore.endpoint import TableStoreEndpoint
from lockstep.local.tablestore.errors import TableStoreError, invalid, unsupported
from lockstep.local.tablestore.messages import tables as pb
from lockstep.local.tablestore.store import StoredTable

# Quotas and defaults of an instance.
MOST_TABLES = 64
_MOST_DEFINED_COLUMNS = 32
_DEVIATION_SECONDS = 86_400
_MOST_DEVIATION = (2**63 - 1) // 1_000_000


def create_table(endpoint: TableStoreEndpoint, request: Any) -> Any:
    """Create an empty table."""
    meta = request.table_meta
    _check_meta(meta)
    if request.index_metas or request.stream_spec.enable_stream or request.sse_spec.enable:
        raise unsupported("secondary indexes, streams and encryption")
    options = pb.TableOptions(
        time_to_live=-1,
        max_versions=1,
        deviation_cell_version_in_sec=_DEVIATION_SECONDS,
        allow_update=True,
    )
    options.MergeFrom(request.table_options)
    _check_options(options)
    capacity = request.reserved_throughput.capacity_unit
    with endpoint.store.transaction():
        if endpoint.store.find_table(meta.table_name) is not None:
            raise TableStoreError("OTSObjectAlreadyExist", "Requested table already exists.")
        if len(endpoint.store.table_names()) >= MOST_TABLES:
            raise TableStoreError(
                "OTSQuotaExhausted", f"Number of tables exceeds the quota:{MOST_TABLES}."
            )
        endpoint.store.create_table(meta, options, capacity.read, capacity.write, endpoint.now())
    return pb.CreateTableResponse()


def list_table(endpoint: TableStoreEndpoint, _request: Any) -> Any:
    """Name all tables."""
    return pb.ListTableResponse(table_names=endpoint.store.table_names())


def describe_table(endpoint: TableStoreEndpoint, request: Any) -> Any:
    """Describe a table."""
    table = endpoint.table(request.table_name)
    return pb.DescribeTableResponse(
        table_meta=table.meta,
        reserved_throughput_details=_throughput(table),
        table_options=table.options,
        stream_details=pb.StreamDetails(enable_stream=False),
    )


def update_table(endpoint: TableStoreEndpoint, request: Any) -> Any:
    """Change the options of a table, or the capacity that is reserved for it."""
    check_table_name(request.table_name)
    if request.stream_spec.enable_stream:
        raise unsupported("streams")
    with endpoint.store.transaction():
        table = endpoint.table(request.table_name)
        options = table.options
        options.MergeFrom(request.table_options)
        _check_options(options)
        capacity = request.reserved_throughput.capacity_unit
        reads = capacity.read if capacity.HasField("read") else table.reads
        writes = capacity.write if capacity.HasField("write") else table.writes
        endpoint.store.update_table(table, options, reads, writes, endpoint.now())
        table = endpoint.table(request.table_name)
    return pb.UpdateTableResponse(
        reserved_throughput_details=_throughput(table), table_options=table.options
    )


def delete_table(endpoint: TableStoreEndpoint, request: Any) -> Any:
    """Delete a table with its rows."""
    with endpoint.store.transaction():
        endpoint.store.delete_table(endpoint.table(request.table_name))
    return pb.DeleteTableResponse()


def _throughput(table: StoredTable) -> Any:
    return pb.ReservedThroughputDetails(
        capacity_unit=pb.CapacityUnit(read=table.reads, write=table.writes),
        last_increase_time=table.changed_at // 1000,
    )


def _check_meta(meta: Any) -> None:
    check_table_name(meta.table_name)
    check_key_count(len(meta.primary_key))
    for at, column in enumerate(meta.primary_key):
        check_column_name(column.name)
        if column.type not in {pb.INTEGER, pb.STRING, pb.BINARY}:
            name = pb.PrimaryKeyType.Name(column.type).removeprefix("PK_")
            raise invalid(f"{name} is an invalid type for the primary key.")
        if column.HasField("option"):
            _check_auto_increment(meta, at)
    check_unique([column.name for column in meta.primary_key])
    if len(meta.defined_column) > _MOST_DEFINED_COLUMNS:
        raise invalid(
            f"The number of defined columns must be in range: [0, {_MOST_DEFINED_COLUMNS}]."
        )
    for defined in meta.defined_column:
        check_column_name(defined.name)


def _check_auto_increment(meta: Any, at: int) -> None:
    if at == 0:
        raise invalid(f"First primary key can't be auto increment, table: {meta.table_name}.")
    if meta.primary_key[at].type != pb.INTEGER:
        raise invalid("AUTO_INCREMENT primary key must be integer.")
    if sum(column.HasField("option") for column in meta.primary_key) > 1:
        raise invalid("AUTO_INCREMENT primary key count must <= 1.")


def _check_options(options: Any) -> None:
    if options.time_to_live == 0 or options.time_to_live < -1:
        raise invalid("TimeToLive cannot be 0 or less than -1.")
    if options.max_versions <= 0:
        raise invalid("The maximum versions cannot be less than or equal to 0.")
    if not 0 <= options.deviation_cell_version_in_sec <= _MOST_DEVIATION:
        raise invalid("The maximum deviation must be in range [0, INT64_MAX/1000000].")
