"""The end of an audit in pieces: its reports, and what of it stays."""

import datetime as dt
from collections.abc import Iterator

import msgspec

from lockstep.audit.audit import Audit
from lockstep.audit.pieces.state import REPORTS, WORK, HeldState
from lockstep.audit.recheck import EXPLAINED
from lockstep.stores.objects import TaggedObjects
from shared.rfc3339 import rfc3339


class PiecesReport(msgspec.Struct, frozen=True, omit_defaults=True):
    """The report of an audit, as JSON.

    `values`: whether it compared every field. `differences` is the key of the first `listed`
    differences, in the form of `lockstep audit --report`. `invocations`, `seconds` (of work) and
    `read_units` are what it used.
    """

    run: str
    values: bool
    begun: dt.datetime
    ended: dt.datetime
    audit: Audit
    invocations: int
    seconds: float
    read_units: float
    listed: int = 0
    differences: str | None = None

    @property
    def different(self) -> int:
        """The number of images that differ."""
        return sum(count for kind, count in self.audit.differences.items() if kind != EXPLAINED)


def ended(held: HeldState, audit: Audit, now: float) -> PiecesReport:
    """Write the reports of an audit that has ended. Doing it twice does no harm."""
    state, objects = held.state, held.objects
    differences = f"{REPORTS}{state.run}.ndjson" if state.differences else None
    if differences is not None:
        parts = (objects.read(key) or b"" for key in state.differences)
        objects.write(differences, b"".join(parts))
    report = PiecesReport(
        run=state.run,
        values=state.values,
        begun=_moment(state.started),
        ended=_moment(now),
        audit=audit,
        invocations=state.invocations,
        seconds=round(state.seconds, 1),
        read_units=state.units,
        listed=state.listed,
        differences=differences,
    )
    objects.write(f"{REPORTS}{state.run}.json", msgspec.json.encode(report))
    objects.write(
        f"{REPORTS}{state.run}.txt", "".join(map("{}\n".format, text_of(report))).encode()
    )
    return report


def close(held: HeldState, report: PiecesReport, now: float) -> None:
    """Mark the audit as ended, and delete what was kept for it only.

    Raises:
        LeaseLostError: another invocation has taken over.
    """
    is_whole = report.values and report.audit.result != "unknown"
    held.save(
        step="ended",
        ended=now,
        result=report.audit.result,
        values_ended=now if is_whole else held.state.values_ended,
    )
    delete_work(held.objects)
    held.release()


def delete_work(objects: TaggedObjects) -> None:
    """Delete what ended audits, and invocations that were killed, have left."""
    objects.delete_all(list(objects.keys(WORK)))


def text_of(report: PiecesReport) -> Iterator[str]:
    """The report as text, line by line."""
    audit = report.audit
    what = "all values" if report.values else "versions and digests"
    yield f"audit of {what}: {audit.result}"
    yield f"begun {rfc3339(report.begun, 'seconds')}, ended {rfc3339(report.ended, 'seconds')}"
    yield f"entries: {audit.table:,} in the table, {audit.index:,} in the index"
    for kind, count in audit.differences.items():
        yield f"{kind}: {count:,}"
    for ahead, count in audit.ahead.items():
        yield f"the index is ahead with {ahead}: {count:,}"
    if audit.reason is not None:
        yield f"reason: {audit.reason}"
    yield from (f"wrong: {one}" for one in audit.wrong)
    yield from (f"warning: {one}" for one in audit.warnings)
    if audit.discarded:
        yield f"batches that were discarded: {audit.discarded:,}"
    if audit.unknown_since is not None:
        yield f"the stores may lack events since {rfc3339(audit.unknown_since, 'seconds')}"
    if report.differences is not None:
        yield f"the first {report.listed:,} differences: {report.differences}"
    yield (
        f"used: {report.invocations:,} invocations, {report.seconds:,.0f} s, "
        f"{report.read_units:,.0f} read units"
    )


def _moment(seconds: float) -> dt.datetime:
    return dt.datetime.fromtimestamp(int(seconds), dt.UTC)
