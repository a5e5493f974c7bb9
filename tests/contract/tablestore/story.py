"""One story for the SDKs: what a client does, and what the endpoint answers.

The answers are those of docs/internals/tablestore.md. Rows of the key `fault` fail on purpose.
"""

import struct
from collections.abc import Callable, Sequence
from typing import Any

from lockstep.local.tablestore import faults
from lockstep.local.tablestore.faults import Attempt, Fault

type Step = dict[str, Any]
type Told = tuple[Step, Any]

LOW, HIGH = {"bound": "INF_MIN"}, {"bound": "INF_MAX"}
FORWARD, BACKWARD = "FORWARD", "BACKWARD"
FAILED = {"code": "OTSConditionCheckFail", "message": "Condition check failed."}
READ, WRITTEN, CHECKED = ({"read": 1, "write": 0}, {"read": 0, "write": 1}, {"read": 1, "write": 1})


def value(plain: Any) -> dict[str, Any]:
    """A value with its type, exact in JSON."""
    match plain:
        case dict():
            return plain
        case bool():
            return {"boolean": plain}
        case int():
            return {"integer": str(plain)}
        case float():
            return {"double": struct.pack(">d", plain).hex()}
        case str():
            return {"string": plain}
        case _:
            return {"binary": plain.hex()}


def pairs(columns: dict[str, Any]) -> list[list[Any]]:
    return [[name, value(one)] for name, one in columns.items()]


def key(group: Any, number: Any) -> list[list[Any]]:
    return pairs({"group": group, "number": number})


def row(group: Any, number: Any, **columns: Any) -> dict[str, Any]:
    return {"key": key(group, number), "columns": pairs(dict(sorted(columns.items())))}


def put(group: Any, number: Any, existence: str = "IGNORE", **columns: Any) -> Step:
    return {"kind": "put", "existence": existence, **row(group, number, **columns)}


def odd(*names: str) -> Any:
    """Columns whose names are none in Python, or many."""
    return dict.fromkeys(names, 1)


def delete(group: Any, number: Any, existence: str = "IGNORE") -> Step:
    return {"kind": "delete", "existence": existence, "key": key(group, number)}


def update(
    group: Any, number: Any, *, gone: Sequence[str] = (), more: Any = None, **columns: Any
) -> Step:
    changes = {"delete": list(gone), "increment": pairs(more or {})}
    return {"kind": "update", "existence": "IGNORE", **row(group, number, **columns), **changes}


def when(change: Step, condition: Any) -> Step:
    return change | {"condition": condition}


def column(name: str, compare: str, other: Any, *, pass_if_missing: bool = True) -> Step:
    return {
        "column": name,
        "compare": compare,
        "value": value(other),
        "pass_if_missing": pass_if_missing,
    }


def combine(how: str, *parts: Step) -> Step:
    return {"combine": how, "parts": list(parts)}


def write(change: Step) -> Step:
    return {"do": "write", "table": "story", **change}


def batch(*changes: Step) -> Step:
    return {"do": "batch_write", "table": "story", "rows": list(changes)}


def get(group: Any, number: Any, **given: Any) -> Step:
    return {
        "do": "get_row",
        "table": "story",
        "key": key(group, number),
        "max_versions": 1,
        **given,
    }


def span(start: Any, end: Any, direction: str = FORWARD, **given: Any) -> Step:
    ends = {"start": key(*start), "end": key(*end), "direction": direction}
    return {"do": "get_range", "table": "story", "max_versions": 1, **ends, **given}


def refused(status: int, code: str, message: str) -> dict[str, Any]:
    return {"status": status, "code": code, "message": message}


def wrong(message: str) -> dict[str, Any]:
    return refused(400, "OTSParameterInvalid", message)


def failing(attempt: Attempt) -> Fault | None:
    """The faults of the story: the second column of the key says which one."""
    if attempt.key is None or attempt.key[0].value != "fault":
        return None
    number = attempt.key[1].value
    return FAULTS[number] if isinstance(number, int) else None


FAULTS = {
    number: Fault(error)
    for number, error in enumerate(
        [
            faults.SERVER_BUSY,
            faults.PARTITION_UNAVAILABLE,
            faults.TIMEOUT,
            faults.ROW_CONFLICT,
            faults.TOO_FREQUENT,
            faults.NO_CAPACITY,
            faults.NO_PERMISSION,
            faults.DENIED_BY_ACL,
        ]
    )
}

VALUES: dict[str, Any] = {
    "binary": b"\0\xff\x80",
    "double": 0.1,
    "empty": "",
    "empty_binary": b"",
    "false": False,
    "highest": 2**63 - 1,
    "large": 1.7976931348623157e308,
    "lowest": -(2**63),
    "negative_zero": -0.0,
    "small": 5e-324,
    "text": "\U0001f600 é \0 \uffff",
    "true": True,
}
SCHEMA = [["group", "STRING"], ["number", "INTEGER"]]
CREATE = {"do": "create_table", "table": "story", "time_to_live": -1, "max_versions": 1}
MISSING = refused(404, "OTSObjectNotExist", "Requested table does not exist.")

TABLES: list[Told] = [
    (CREATE | {"key": SCHEMA}, None),
    (
        CREATE | {"key": SCHEMA},
        refused(409, "OTSObjectAlreadyExist", "Requested table already exists."),
    ),
    (
        {"do": "describe_table", "table": "story"},
        {"key": SCHEMA, "time_to_live": -1, "max_versions": 1, "deviation": 86400},
    ),
    ({"do": "list_table"}, ["story"]),
    (CREATE | {"table": "a-b", "key": SCHEMA}, wrong("Invalid table name: 'a-b'.")),
    (
        CREATE | {"table": "wide", "key": [[f"k{one}", "STRING"] for one in range(5)]},
        wrong("The number of primary key columns must be in range: [1, 4]."),
    ),
    ({"do": "describe_table", "table": "none"}, MISSING),
]

ROWS: list[Told] = [
    (write(put("values", 1, **VALUES)), WRITTEN),
    (get("values", 1), READ | {"row": row("values", 1, **VALUES)}),
    (write(put("values", 1, one=1)), WRITTEN),  # the whole row is replaced
    (get("values", 1), READ | {"row": row("values", 1, one=1)}),
    (get("values", 2), READ | {"row": None}),
    (write(put("values", -(2**63))), WRITTEN),  # a key alone
    (get("values", -(2**63)), READ | {"row": row("values", -(2**63))}),
    (get("values", 1, columns=["one", "two"]), READ | {"row": row("values", 1, one=1)}),
    (get("values", 1, columns=["two"]), READ | {"row": None}),
    (get("values", 1, filter=column("one", "GREATER_THAN", 1)), READ | {"row": None}),
    (
        get("values", 1, filter=column("one", "GREATER_EQUAL", 1)),
        READ | {"row": row("values", 1, one=1)},
    ),
    (write(put("large", 1, text="x" * 10_000)), {"read": 0, "write": 3}),
    (get("large", 1, columns=["none"]), READ | {"row": None}),
    (write(delete("large", 1, "EXPECT_EXIST")), CHECKED),
    (write(delete("large", 1)), WRITTEN),
    (write(delete("large", 1, "EXPECT_EXIST")), FAILED | {"status": 403}),
]

LESS = column("version", "LESS_THAN", "2")
CONDITIONS: list[Told] = [
    (write(put("guard", 1, "EXPECT_EXIST", version="1")), FAILED | {"status": 403}),
    (write(when(put("guard", 1, version="1"), LESS)), CHECKED),  # a missing row passes
    (write(put("guard", 1, "EXPECT_NOT_EXIST", version="2")), FAILED | {"status": 403}),
    (write(when(put("guard", 1, version="2"), LESS)), CHECKED),
    (write(when(put("guard", 1, version="0"), LESS)), FAILED | {"status": 403}),
    (write(put("guard", 1, other=1)), WRITTEN),  # somebody else wrote it
    (write(when(put("guard", 1, version="1"), LESS)), CHECKED),  # a missing column passes
    (
        write(
            when(
                put("guard", 1, version="9"),
                column("none", "EQUAL", "x", pass_if_missing=False),
            )
        ),
        FAILED | {"status": 403},
    ),
    (
        write(
            when(
                delete("guard", 1, "EXPECT_EXIST"),
                combine(
                    "AND",
                    column("version", "EQUAL", "1", pass_if_missing=False),
                    column("deleted", "EQUAL", other=True, pass_if_missing=False),
                ),
            )
        ),
        FAILED | {"status": 403},
    ),
    (
        write(
            when(
                put("guard", 1, version="3"),
                combine(
                    "NOT",
                    combine(
                        "OR",
                        column("version", "EQUAL", "3"),
                        LESS
                        | {
                            "column": "none",
                            "pass_if_missing": False,
                        },
                    ),
                ),
            )
        ),
        CHECKED,
    ),
    (get("guard", 1), READ | {"row": row("guard", 1, version="3")}),
]

UPDATES: list[Told] = [
    (write(update("update", 1, one=1, two="b")), WRITTEN),  # a missing row is created
    (write(update("update", 1, gone=["two"], more={"count": 5}, three=3.5)), WRITTEN),
    (write(update("update", 1, more={"count": -7})), WRITTEN),
    (get("update", 1), READ | {"row": row("update", 1, count=-2, one=1, three=3.5)}),
]

BATCHES: list[Told] = [
    (
        batch(
            put("batch", 1, one=1),
            put("guard", 1, "EXPECT_NOT_EXIST", one=2),
            put("batch", "text", one=3),
            delete("batch", 9, "EXPECT_EXIST"),
            put("batch", 2, one=4),
            update("batch", 3, one=5),
            when(put("guard", 1, version="1"), column("version", "LESS_THAN", "1")),
        ),
        # The row of the guard is twice in the request, so conditions on it are refused.
        [
            WRITTEN,
            {
                "code": "OTSParameterInvalid",
                "message": "Repeated rows do not support row exist expectation check"
                " in BatchModify.",
            },
            {
                "code": "OTSInvalidPK",
                "message": "Validate PK type fail. Input: VT_STRING, Meta: VT_INTEGER.",
            },
            FAILED,
            WRITTEN,
            WRITTEN,
            {
                "code": "OTSParameterInvalid",
                "message": "Repeated rows do not support row condition check in BatchModify.",
            },
        ],
    ),
    (
        {
            "do": "batch_get",
            "table": "story",
            "max_versions": 1,
            "keys": [key("batch", 1), key("batch", 7), key("batch", "text"), key("batch", 3)],
        },
        [
            READ | {"row": row("batch", 1, one=1)},
            READ | {"row": None},
            {
                "code": "OTSInvalidPK",
                "message": "Validate PK type fail. Input: VT_STRING, Meta: VT_INTEGER.",
            },
            READ | {"row": row("batch", 3, one=5)},
        ],
    ),
    (
        batch(put("batch", 4, one=1), put("b" * 1025, 4, one=1)),
        wrong(
            "The length of primary key column: 'group' exceeds the MaxLength:1024"
            " with CurrentLength:1025."
        ),
    ),
    (get("batch", 4), READ | {"row": None}),
    (
        batch(*(put("batch", one) for one in range(201))),
        wrong("Rows count exceeds the upper limit: 200."),
    ),
]

NUMBERS = [-(2**63), -1, 0, 1, 2, 2**63 - 1]
FOUND = [row("range", one, n=one) for one in NUMBERS]
RANGES: list[Told] = [
    (batch(*(put("range", one, n=one) for one in reversed(NUMBERS))), [WRITTEN] * 6),
    (span(("range", LOW), ("range", HIGH)), READ | {"rows": FOUND, "next": None}),
    (
        span(("range", HIGH), ("range", LOW), BACKWARD),
        READ | {"rows": FOUND[::-1], "next": None},
    ),
    (span(("range", -1), ("range", 2)), READ | {"rows": FOUND[1:4], "next": None}),
    (
        span(("range", 2), ("range", -1), BACKWARD),
        READ | {"rows": FOUND[4:1:-1], "next": None},
    ),
    (
        span(("range", LOW), ("range", HIGH), limit=4),
        READ | {"rows": FOUND[:4], "next": key("range", 2)},
    ),
    (
        span(("range", 2), ("range", HIGH), limit=4),
        READ | {"rows": FOUND[4:], "next": None},
    ),
    (
        span(
            ("range", LOW),
            ("range", HIGH),
            filter=combine("OR", column("n", "LESS_THAN", -1), column("n", "EQUAL", 2)),
        ),
        READ | {"rows": [FOUND[0], FOUND[4]], "next": None},
    ),
    (
        span(("s", LOW), ("range", HIGH)),
        wrong("Begin key must less than end key in FORWARD"),
    ),
    (
        span(("a", LOW), ("range", HIGH), BACKWARD),
        wrong("Begin key must more than end key in BACKWARD"),
    ),
]

ERRORS: list[Told] = [
    (
        write(put("a", "text")),
        refused(
            400,
            "OTSInvalidPK",
            "Validate PK type fail. Input: VT_STRING, Meta: VT_INTEGER.",
        ),
    ),
    (write(put("a", 1, **odd("a b"))), wrong("Invalid column name: 'a b'.")),
    (
        write(put("a", 1, **odd(*(f"c{one}" for one in range(1025))))),
        wrong(
            "The number of attribute columns exceeds the limit,"
            " limit count: 1024, column count: 1025."
        ),
    ),
    (
        write(when(put("a", 1), combine("OR", *(column(f"c{n}", "EQUAL", 1) for n in range(32))))),
        wrong("The count of filter exceeds the max: 32."),
    ),
    (get("a", 1) | {"table": "none"}, MISSING),
    (get(LOW, 1), wrong("VT_INF_MIN is an invalid type for the primary key.")),
]

ON_DEMAND: list[Told] = [
    *(
        (
            write(put("fault", number)),
            refused(fault.error.status, fault.error.code, fault.error.message),
        )
        for number, fault in FAULTS.items()
    ),
    (
        batch(put("fine", 1, one=1), put("fault", 0), put("fault", 3)),
        [
            WRITTEN,
            {"code": "OTSServerBusy", "message": "Server is busy."},
            {
                "code": "OTSRowOperationConflict",
                "message": "Data is being modified by the other request.",
            },
        ],
    ),
]

ENDING: list[Told] = [
    (
        {"do": "update_table", "table": "story", "time_to_live": 86_400, "max_versions": 2},
        None,
    ),
    (
        {"do": "describe_table", "table": "story"},
        {"key": SCHEMA, "time_to_live": 86_400, "max_versions": 2, "deviation": 86400},
    ),
    ({"do": "delete_table", "table": "story"}, None),
    (get("values", 1), MISSING),
    ({"do": "list_table"}, []),
]

STORY: list[Told] = [
    *TABLES,
    *ROWS,
    *CONDITIONS,
    *UPDATES,
    *BATCHES,
    *RANGES,
    *ERRORS,
    *ON_DEMAND,
    *ENDING,
]

type Teller = Callable[[str, str, list[Step]], list[Any]]
"""Takes the steps at an address, with signatures for a region (version 4) or none (2)."""
