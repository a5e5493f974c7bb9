"""What `lockstep audit` writes down."""

import io

import msgspec

from lockstep.audit.audit import Found
from lockstep.audit.entry import Entry
from lockstep.commands.audit import Differences


def test_a_report_names_what_each_store_says_and_is_read_again_for_the_repair() -> None:
    table = Entry("a", 5, deleted=False, digest="d", guard=5, arrived_at=7)
    found = [
        Found("a", "missing_in_index", explained_by_quarantine=True, table=table, index=None),
        Found(
            "b\n",
            "malformed",
            explained_by_quarantine=False,
            table=None,
            index=Entry("b\n", malformed="no version"),
        ),
    ]
    report = io.BytesIO()
    differences = Differences(io.BytesIO(), report)
    for one in found:
        differences.add(one)
    for _ in range(2):
        assert [(one.image_id, one.kind) for one in differences] == [
            ("a", "missing_in_index"),
            ("b\n", "malformed"),
        ]
    first, second = map(msgspec.json.decode, report.getvalue().splitlines())
    assert first == {
        "image_id": "a",
        "kind": "missing_in_index",
        "explained_by_quarantine": True,
        "table": {
            "image_id": "a",
            "version": 5,
            "deleted": False,
            "digest": "d",
            "guard": 5,
            "arrived_at": 7,
        },
        "index": None,
    }
    assert second["index"]["malformed"] == "no version"
