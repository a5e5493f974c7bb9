"""The audit that runs by itself keeps entries of images in the bucket until it ends.

An entry has the digest of an image. If an audit that is under way has one of an erased image, it is
ended without a result, and the next invocation begins another one. Its old versions, and what ended
audits have left, are deleted whole: nothing needs them.
"""

from collections.abc import Iterator, Sequence

import msgspec

from lockstep.audit.pieces.segments import Segments
from lockstep.audit.pieces.state import STATE, WORK, AuditState, read_state
from lockstep.audit.recheck import Findings
from lockstep.erasing.content import Mention, differences_in
from lockstep.erasing.erased import Judge
from lockstep.stores.object_versions import ObjectVersion, ObjectVersions
from lockstep.stores.objects import TaggedObjects


class AuditSurvey(msgspec.Struct, frozen=True):
    """What the bucket keeps of audits.

    Attributes:
        held: content that must go, of the audit that is under way.
        left: versions of objects that no audit needs.
    """

    held: Sequence[Mention]
    left: Sequence[ObjectVersion]


class AuditEraser:
    """Finds content in what audits keep, and erases it."""

    def __init__(
        self, versions: ObjectVersions, objects: TaggedObjects, judge: Judge, now: float
    ) -> None:
        """Set it up; `now` is in seconds since 1970."""
        self._versions = versions
        self._objects = objects
        self._judge = judge
        self._now = now

    def survey(self) -> AuditSurvey:
        """Read the audit that is under way, and list what is left of others.

        Raises what boto3 raises.
        """
        state, _ = read_state(self._objects)
        running = state if state is not None and state.step != "ended" else None
        held = (
            [] if running is None else [one for one in self._mentions(running) if self._goes(one)]
        )
        left = [
            one
            for prefix in (STATE, WORK)
            for one in self._versions.listed(prefix)
            if not (one.is_latest and self._is_needed(one.key, running))
        ]
        return AuditSurvey(held, left)

    def erase(self, found: AuditSurvey) -> None:
        """End the audit if it holds content, and delete what no audit needs.

        An invocation that works on it then finds that it has lost its lease.
        """
        if found.held:
            state, tag = read_state(self._objects)
            if state is not None:
                ended = msgspec.json.encode(self._ended(state))
                if self._objects.replace(STATE, ended, tag) is None:
                    return  # it goes on: survey again
            self._versions.delete([*self._versions.listed(WORK)])
        self._versions.delete(found.left)

    def _mentions(self, state: AuditState) -> Iterator[Mention]:
        segments = Segments(self._objects, state.parts)
        for keys in (state.table, state.index):
            for part in range(state.parts) if keys else ():
                partition = segments.partition(keys, part)
                for image_id, version, _ in partition.rows:
                    yield Mention(image_id, version, None)
                for entry in partition.others.values():
                    if not entry.deleted or entry.digest is not None:
                        yield Mention(entry.image_id, entry.version, entry.arrived_at or None)
        for key in state.differences:
            yield from differences_in(self._objects.read(key) or b"")

    def _goes(self, one: Mention) -> bool:
        return self._judge(one.image_id, one.version, one.arrived_at) == "erased"

    @staticmethod
    def _is_needed(key: str, running: AuditState | None) -> bool:
        return key == STATE or (running is not None and key.startswith(running.work))

    def _ended(self, state: AuditState) -> AuditState:
        """The audit, ended without a result; the next one is due at once."""
        return AuditState(
            state.run,
            values=state.values,
            started=0.0,
            parts=state.parts,
            step="ended",
            findings=Findings(),
            ended=self._now,
            values_ended=state.values_ended,
        )
