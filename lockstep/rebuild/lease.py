"""The ledger: who is at a rebuild and how far it is, kept with the new index, one worker at a time.

What is written twice does no harm, so two at work would be safe; but neither would know what the
other does. OpenSearch has no lock, so a worker is known by its beat.
"""

from typing import Any

import msgspec

from lockstep.rebuild.indices import AnotherRebuildError, Indices, RebuildState
from lockstep.rebuild.worker import RebuildWorker, state_of
from shared.clock import Clock

# How often, in seconds, a rebuild says that it is still at work, and how far it is.
BEAT_SECONDS = 2.0
# So long another one watches for that before it takes over; more than any request takes.
WATCH_SECONDS = 45.0
# Of two that take over at once, the later one has it: long enough for both to have written.
CLAIM_SECONDS = 1.0


class Lease:
    """One rebuild's note, written by this worker alone.

    Every method but `note` raises AnotherRebuildError where another has taken over.
    """

    def __init__(self, indices: Indices, index: str, note: RebuildState, clock: Clock) -> None:
        """Take `note` for what is kept with the index now."""
        self.index = index
        self._indices = indices
        self._note = note
        self._clock = clock
        self._kept_at = clock.elapsed()

    @classmethod
    def create(cls, indices: Indices, index: str, note: RebuildState, clock: Clock) -> "Lease":
        """Make the new index, and with it the ledger."""
        indices.create(index, note)
        return cls(indices, index, note, clock)

    @classmethod
    def take_over(
        cls, indices: Indices, index: str, worker: RebuildWorker, clock: Clock
    ) -> "Lease":
        """The ledger of a rebuild that was interrupted.

        Where its worker is on another machine, it is watched for `WATCH_SECONDS` first.
        """
        note = indices.note(index)
        match state_of(note.worker):
            case "at_work" if note.worker != worker and not note.done:
                raise _at_work(note)
            case "unknown" if not note.done:
                deadline = clock.elapsed() + WATCH_SECONDS
                while clock.elapsed() < deadline:
                    clock.sleep(BEAT_SECONDS)
                    if indices.note(index) != note:
                        raise _at_work(note)
        mine = msgspec.structs.replace(note, worker=worker, beat=note.beat + 1, done=False)
        indices.keep(index, mine)
        clock.sleep(CLAIM_SECONDS)
        ledger = cls(indices, index, mine, clock)
        ledger.keep()
        return ledger

    @property
    def note(self) -> RebuildState:
        """How far it is; what is kept may be a beat behind."""
        return self._note

    def beat(self, **changes: Any) -> None:
        """Change the note; it is kept with the next beat."""
        self._note = msgspec.structs.replace(self._note, **changes)
        if self._clock.elapsed() - self._kept_at >= BEAT_SECONDS:
            self.keep()

    def keep(self, **changes: Any) -> None:
        """Change the note and keep it at once."""
        self._check()
        self._note = msgspec.structs.replace(self._note, beat=self._note.beat + 1, **changes)
        self._indices.keep(self.index, self._note)
        self._kept_at = self._clock.elapsed()

    def done(self) -> None:
        """The rebuild has come to its end."""
        self.keep(done=True)
        self._indices.close(self.index)

    def _check(self) -> None:
        there = self._indices.note(self.index)
        if there.worker != self._note.worker:
            raise _at_work(there)


def _at_work(note: RebuildState) -> AnotherRebuildError:
    return AnotherRebuildError(
        f"another rebuild is at work, {note.worker}: let it end, or end it and run this again"
    )
