"""The last audit that ran by itself, by what lies in the bucket."""

import datetime as dt
from collections.abc import Iterator

import msgspec

from lockstep.audit.audit import Audit
from lockstep.audit.pieces.ending import PiecesReport
from lockstep.audit.pieces.state import REPORTS, STATE, AuditState
from lockstep.watching.audits import LastAudit
from lockstep.watching.seen import SeenAudit

ENDED = dt.datetime(2026, 11, 30, 1, tzinfo=dt.UTC)


class Bucket:
    """Objects in memory, and which of them were read."""

    def __init__(self) -> None:
        self.stored: dict[str, bytes] = {}
        self.read_keys: list[str] = []

    def keys(self, prefix: str) -> Iterator[str]:
        return iter(sorted(key for key in self.stored if key.startswith(prefix)))

    def read(self, key: str) -> bytes | None:
        self.read_keys.append(key)
        return self.stored.get(key)

    def read_tagged(self, key: str) -> tuple[bytes, str] | None:
        return (self.stored[key], "tag") if key in self.stored else None


def report(run: str, result: str, **differences: int) -> bytes:
    audit = {"result": result, "table": 10, "index": 9, "differences": differences, "seconds": 1.0}
    made = PiecesReport(
        run,
        values=False,
        begun=ENDED,
        ended=ENDED,
        audit=msgspec.convert(audit, Audit),
        invocations=1,
        seconds=1.0,
        read_units=1.0,
    )
    return msgspec.json.encode(made)


def state(step: str) -> bytes:
    said = {"run": "r", "values": False, "started": 0.0, "parts": 1, "step": step}
    return msgspec.json.encode(msgspec.convert(said, AuditState))


def look(last: LastAudit, bucket: Bucket) -> SeenAudit:
    objects: object = bucket
    return last.look(objects)  # type: ignore[arg-type]  # it only reads


def test_the_newest_report_counts_and_is_read_once() -> None:
    bucket, last = Bucket(), LastAudit()
    bucket.stored = {
        f"{REPORTS}20261128T030000Z.json": report("a", "different", missing_in_index=3),
        f"{REPORTS}20261129T030000Z.json": report("b", "equal"),
        f"{REPORTS}20261129T030000Z.txt": b"equal",
        STATE: state("ended"),
    }
    equal = SeenAudit("equal", ENDED, images=10, different=0)
    assert [look(last, bucket), look(last, bucket)] == [equal, equal]
    assert bucket.read_keys == [f"{REPORTS}20261129T030000Z.json"]
    bucket.stored[f"{REPORTS}20261130T030000Z.json"] = report("c", "different", missing_in_index=3)
    assert look(last, bucket) == SeenAudit("different", ENDED, images=10, different=3)


def test_an_audit_that_runs_is_told_beside_the_last_one() -> None:
    bucket, last = Bucket(), LastAudit()
    assert look(last, bucket) == SeenAudit()
    bucket.stored[STATE] = state("compare")
    assert look(last, bucket) == SeenAudit(running="compare")


def test_a_report_of_another_release_is_none() -> None:
    bucket = Bucket()
    bucket.stored[f"{REPORTS}20261129T030000Z.json"] = b"{}"
    assert look(LastAudit(), bucket) == SeenAudit()
