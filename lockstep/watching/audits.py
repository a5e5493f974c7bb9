"""The last audit that ran by itself, by its state and reports in the bucket."""

import msgspec

from lockstep.audit.pieces.ending import PiecesReport
from lockstep.audit.pieces.state import REPORTS, AuditState, read_state
from lockstep.stores.objects import TaggedObjects
from lockstep.watching.seen import SeenAudit


class LastAudit:
    """Looks for the last audit. It reads each report once."""

    def __init__(self) -> None:
        self._key = ""
        self._report: PiecesReport | None = None

    def look(self, objects: TaggedObjects) -> SeenAudit:
        """The last audit now: one listing, and the state."""
        # The name of a report begins with the time of the audit.
        key = max((one for one in objects.keys(REPORTS) if one.endswith(".json")), default="")
        if key != self._key:
            self._report = _decoded(objects.read(key))
            self._key = key
        state, _ = read_state(objects)
        return _seen(self._report, state)


def _decoded(body: bytes | None) -> PiecesReport | None:
    """A report; None if it is gone, or if another release wrote it in another form."""
    try:
        return msgspec.json.decode(body or b"", type=PiecesReport)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def _seen(report: PiecesReport | None, state: AuditState | None) -> SeenAudit:
    running = None if state is None or state.step == "ended" else state.step
    if report is None:
        return SeenAudit(running=running)
    return SeenAudit(
        result=report.audit.result,
        ended=report.ended,
        images=report.audit.table,
        different=report.different,
        running=running,
    )
