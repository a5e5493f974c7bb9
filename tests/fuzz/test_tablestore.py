"""Whatever is sent to the Table Store endpoint, it answers or refuses with one clear error."""

from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lockstep.local.tablestore.messages import filters as pb_filters
from lockstep.local.tablestore.messages import tables as pb
from lockstep.local.tablestore.operations import OPERATIONS
from lockstep.local.tablestore.plain_buffer import crc8
from lockstep.local.tablestore.server import application, reply
from lockstep.local.tablestore.store import TableFile
from tests.unit.tablestore.client import TableStore, called, signed

FEWER = settings().max_examples // 2
ALL_OPERATIONS = sorted(OPERATIONS)
_numbers = count()

names = st.sampled_from(["rows", "id", "c", "none", "", "a b", "é", "n" * 256])
small = st.integers(-2, 5) | st.integers(-(2**31), 2**31 - 1)


def sized(data: bytes) -> bytes:
    return len(data).to_bytes(4, "little") + data


# Values of PlainBuffer, right and wrong.
variants = st.one_of(
    st.integers(-(2**63), 2**63 - 1).map(lambda n: b"\0" + n.to_bytes(8, "little", signed=True)),
    st.binary(min_size=8, max_size=8).map(lambda bits: b"\1" + bits),
    st.sampled_from([b"\2\0", b"\2\1", b"\6", b"\x09", b"\x0a", b"\x0b"]),
    st.binary(max_size=9).map(lambda text: b"\3" + sized(text)),
    st.binary(max_size=9).map(lambda text: b"\7" + sized(text)),
    st.binary(max_size=9),
)


@st.composite
def cells(draw: st.DrawFn) -> tuple[bytes, int]:
    """A cell and its checksum."""
    name = draw(st.sampled_from([b"id", b"c", b"d", b"", b"\xff"]))
    value = draw(variants | st.just(b""))
    operation = draw(st.sampled_from([b"", b"", b"", b"\1", b"\3", b"\4", b"\x09"]))
    timestamp = draw(st.just(b"") | st.binary(min_size=8, max_size=8))
    data = b"\x03\x04" + sized(name)
    data += b"\x05" + sized(value) if value else b""
    data += b"\x06" + operation if operation else b""
    data += b"\x07" + timestamp if timestamp else b""
    crc = crc8(crc8(crc8(crc8(0, name), value), timestamp), operation)
    return data + b"\x0a" + bytes([crc]), crc


@st.composite
def rows(draw: st.DrawFn) -> bytes:
    """A row whose checksums are right, whatever it says."""
    key = draw(st.lists(cells(), max_size=5) | st.just([ID]))
    attributes = draw(st.lists(cells(), max_size=4))
    marker = draw(st.booleans())
    crc = 0
    for _, one in [*key, *attributes]:
        crc = crc8(crc, bytes([one]))
    parts = [b"\x75\0\0\0\x01", *(cell for cell, _ in key)]
    parts += [b"\x02", *(cell for cell, _ in attributes)] if attributes else []
    parts += [b"\x08"] if marker else []
    return b"".join([*parts, b"\x09", bytes([crc8(crc, bytes([marker]))])])


ID = (
    b"\x03\x04"
    + sized(b"id")
    + b"\x05"
    + sized(b"\3" + sized(b"a"))
    + b"\x0a"
    + bytes([crc8(0, b"id\3" + sized(b"a"))]),
    crc8(0, b"id\3" + sized(b"a")),
)


def message(kind: Any, depth: int = 0) -> st.SearchStrategy[Any]:
    """A message with any of its fields; the required ones are there."""
    fields = {field.name: field for field in kind.DESCRIPTOR.fields}
    needed = {
        name: _field(field, depth)
        for name, field in fields.items()
        if field.label == field.LABEL_REQUIRED
    }
    rest = {name: _field(field, depth) for name, field in fields.items() if name not in needed}
    return st.fixed_dictionaries(needed, optional=rest).map(lambda given: kind(**given))


def _field(field: Any, depth: int) -> st.SearchStrategy[Any]:
    match field.cpp_type:
        case field.CPPTYPE_MESSAGE:
            one = message(getattr(pb, field.message_type.name), depth + 1)
        case field.CPPTYPE_ENUM:
            one = st.sampled_from([value.number for value in field.enum_type.values])
        case field.CPPTYPE_BOOL:
            one = st.booleans()
        case field.CPPTYPE_STRING if field.type == field.TYPE_BYTES:
            filters = "filter" in field.name or "condition" in field.name
            one = any_filter if filters else rows() | st.binary(max_size=9)
        case field.CPPTYPE_STRING:
            one = names
        case _:
            one = small
    return st.lists(one, max_size=3) if field.label == field.LABEL_REPEATED else one


def filter_of(kind: int, inner: Any) -> bytes:
    data: bytes = pb_filters.Filter(type=kind, filter=inner.SerializeToString()).SerializeToString()
    return data


single_filters = st.builds(
    lambda name, comparator, value, missing: filter_of(
        pb_filters.FT_SINGLE_COLUMN_VALUE,
        pb_filters.SingleColumnValueFilter(
            comparator=comparator,
            column_name=name,
            column_value=value,
            filter_if_missing=missing,
            latest_version_only=True,
        ),
    ),
    names,
    st.integers(1, 8),
    variants,
    st.booleans(),
)
pages = st.builds(
    lambda offset, limit: filter_of(
        pb_filters.FT_COLUMN_PAGINATION,
        pb_filters.ColumnPaginationFilter(offset=offset, limit=limit),
    ),
    small,
    small,
)
any_filter = st.recursive(
    single_filters | pages | st.binary(max_size=9),
    lambda parts: st.builds(
        lambda combinator, some: filter_of(
            pb_filters.FT_COMPOSITE_COLUMN_VALUE,
            pb_filters.CompositeColumnValueFilter(
                combinator=combinator,
                sub_filters=[pb_filters.Filter(type=1, filter=part) for part in some],
            ),
        ),
        st.integers(1, 3),
        st.lists(parts, max_size=3),
    ),
    max_leaves=5,
)


@pytest.fixture(scope="module")
def tablestore() -> Iterator[TableStore]:
    with TableFile.open(None) as store:
        found = TableStore(store)
        found.table("kept")
        yield found


def checked(tablestore: TableStore, operation: str, body: bytes) -> None:
    """Check that a body is answered, or refused with a code and a message."""
    path = f"/{operation}"
    answer = reply(tablestore.endpoint, path, signed(tablestore.endpoint, path, body), body)
    assert answer.status in {200, 400, 403, 404, 409}
    if answer.status == 200:
        response = getattr(pb, f"{operation}Response")
        response.FromString(answer.body)  # it has all required fields
    else:
        error = pb.Error.FromString(answer.body)
        assert error.code.startswith("OTS")
        assert error.message
    if operation == "DeleteTable" and answer.status == 200:
        tablestore.table(pb.DeleteTableRequest.FromString(body).table_name)


@given(st.sampled_from(ALL_OPERATIONS), st.binary(max_size=60))
def test_any_body(tablestore: TableStore, operation: str, body: bytes) -> None:
    checked(tablestore, operation, body)


@given(data=st.data())
def test_any_message(tablestore: TableStore, data: st.DataObject) -> None:
    operation = data.draw(st.sampled_from(ALL_OPERATIONS))
    sent = data.draw(message(OPERATIONS[operation][0]))
    checked(tablestore, operation, sent.SerializeToString())


@settings(max_examples=FEWER)
@given(
    data=rows(),
    condition=any_filter,
    operation=st.sampled_from(["PutRow", "UpdateRow", "DeleteRow"]),
    existence=st.integers(0, 2),
)
def test_any_row_and_condition(
    tablestore: TableStore, data: bytes, condition: bytes, operation: str, existence: int
) -> None:
    field = {"PutRow": "row", "UpdateRow": "row_change", "DeleteRow": "primary_key"}[operation]
    request = getattr(pb, f"{operation}Request")(
        table_name="rows",
        condition=pb.Condition(row_existence=existence, column_condition=condition),
        **{field: data},
    )
    checked(tablestore, operation, request.SerializeToString())


header_names = st.sampled_from(
    [
        "x-ots-date",
        "x-ots-apiversion",
        "x-ots-accesskeyid",
        "x-ots-contentmd5",
        "x-ots-instancename",
        "x-ots-signature",
        "x-ots-signaturev4",
        "x-ots-signdate",
        "x-ots-signregion",
        "x-ots-other",
    ]
)
header_values = st.text(st.characters(min_codepoint=32, max_codepoint=255), max_size=20) | (
    st.datetimes().map(lambda at: at.isoformat())
)


@settings(max_examples=FEWER)
@given(
    changes=st.dictionaries(header_names, st.none() | header_values, min_size=1),
    path=st.sampled_from(["/ListTable", "/", "/a/b", "/é", "/\ufffd"]),
    query=st.binary(max_size=5),
    method=st.sampled_from(["POST", "POST", "GET", "PUT", "OPTIONS"]),
)
def test_any_headers(
    tablestore: TableStore, changes: dict[str, str | None], path: str, query: bytes, method: str
) -> None:
    given_headers = signed(tablestore.endpoint, "/ListTable", b"") | changes
    headers = [(b"host", b"localhost")] + [
        (name.encode(), value.encode("latin-1"))
        for name, value in given_headers.items()
        if value is not None
    ]
    status, _, body = called(application(tablestore.endpoint), method, path, headers, query=query)
    assert status in {200, 400, 403, 405}
    if status != 200:
        error = pb.Error.FromString(body)
        assert error.code.startswith("OTS")
        assert error.message
