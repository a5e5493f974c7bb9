"""The lease: lets one worker at a time run a rebuild, and saves its progress.

Two workers at once would do no harm, because copying twice is safe, but each would overwrite the
progress of the other. OpenSearch has no locks, so a worker renews its lease in the mapping of the
new index.
"""

from collections.abc import Callable
from typing import Any

import msgspec

from lockstep.rebuild.indices import AnotherRebuildError, Indices, RebuildState
from lockstep.rebuild.worker import RebuildWorker, WorkerState, state_of
from shared.clock import Clock

# How often a worker renews its lease and saves its progress.
RENEWAL_SECONDS = 2.0
# How long another worker waits for a renewal before it takes over; longer than any request.
WATCH_SECONDS = 45.0
# If two workers take over at once, the later one wins. Both have written after this time.
CLAIM_SECONDS = 1.0


class Lease:
    """The state of one rebuild, written by this worker alone.

    Every method but `state` raises AnotherRebuildError if another worker has taken over.
    """

    def __init__(self, indices: Indices, index: str, state: RebuildState, clock: Clock) -> None:
        """Manage the lease of an index whose saved state is `state`."""
        self.index = index
        self._indices = indices
        self._state = state
        self._clock = clock
        self._saved_at = clock.elapsed()

    @classmethod
    def create(cls, indices: Indices, index: str, state: RebuildState, clock: Clock) -> "Lease":
        """Create the new index, and the lease with it."""
        indices.create(index, state)
        return cls(indices, index, state, clock)

    @classmethod
    def take_over(
        cls,
        indices: Indices,
        index: str,
        worker: RebuildWorker,
        clock: Clock,
        state_of: Callable[[RebuildWorker], WorkerState] = state_of,
    ) -> "Lease":
        """Take over the lease of a rebuild that was interrupted.

        If its worker is on another machine, first wait for a renewal, for `WATCH_SECONDS`.
        `state_of` says whether it still runs.
        """
        state = indices.state(index)
        match state_of(state.worker):
            case "at_work" if state.worker != worker and not state.done:
                raise _another(state)
            case "unknown" if not state.done:
                deadline = clock.elapsed() + WATCH_SECONDS
                while clock.elapsed() < deadline:
                    clock.sleep(RENEWAL_SECONDS)
                    if indices.state(index) != state:
                        raise _another(state)
        own = msgspec.structs.replace(state, worker=worker, beat=state.beat + 1, done=False)
        indices.save_state(index, own)
        clock.sleep(CLAIM_SECONDS)
        lease = cls(indices, index, own, clock)
        lease.save()
        return lease

    @property
    def state(self) -> RebuildState:
        """The progress of the rebuild; the saved one may be one renewal older."""
        return self._state

    def renew(self, **changes: Any) -> None:
        """Change the state; it is saved with the next renewal."""
        self._state = msgspec.structs.replace(self._state, **changes)
        if self._clock.elapsed() - self._saved_at >= RENEWAL_SECONDS:
            self.save()

    def save(self, **changes: Any) -> None:
        """Change the state and save it at once."""
        self._check()
        self._state = msgspec.structs.replace(self._state, beat=self._state.beat + 1, **changes)
        self._indices.save_state(self.index, self._state)
        self._saved_at = self._clock.elapsed()

    def finish(self) -> None:
        """End the rebuild.

        The alias is removed first: an index that keeps it would disturb the next rebuild.
        """
        self.save()
        self._indices.close(self.index)
        self.save(done=True)

    def _check(self) -> None:
        saved = self._indices.state(self.index)
        if saved.worker != self._state.worker:
            raise _another(saved)


def _another(state: RebuildState) -> AnotherRebuildError:
    return AnotherRebuildError(
        f"{state.worker} runs a rebuild: wait until it ends, or stop it, then run this again"
    )
