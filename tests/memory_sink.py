"""A sink in memory: the same guard as the real ones, for tests of what stands before a sink."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import batched

import msgspec

from shared.change import Change, describe_change, digest_of
from shared.outcome import Applied, Conflict, Duplicate, Outcome, Stale, held
from shared.sink import RequestFailedError, SinkError


class AnswerLost(msgspec.Struct, frozen=True):
    """The request is applied, but its answer never arrives."""


type Happening = Mapping[str, Outcome] | SinkError | AnswerLost
"""What becomes of a request: outcomes for single images (none of those is written), an error
for the whole of it (nothing is written), or a lost answer. An empty mapping: it just works."""


class MemorySink:
    """Keeps changes in a dict; a strictly higher version wins.

    Failures are data: `script` says what happens to the first request, the second and so on;
    after its end all requests work. `always` says what happens to any request with that image:
    its outcome, or an error for the whole request. Every request is kept in `sent`, and
    the time that it was given in `within`.
    """

    def __init__(
        self,
        *script: Happening,
        always: Mapping[str, Outcome | SinkError] | None = None,
        schema: Iterable[SinkError | None] = (),
        per_request: int = 25,
        longest_send: float = 0.0,
    ) -> None:
        """Args: `schema` says what each `check` finds: an error, or None for ours."""
        self.stored: dict[str, Change] = {}
        self.sent: list[Sequence[Change]] = []
        self.within: list[float | None] = []
        self.checks = 0
        self.longest_send = longest_send
        self._script: Iterator[Happening] = iter(script)
        self._always = always or {}
        self._schema = iter(schema)
        self._per_request = per_request

    @property
    def versions(self) -> dict[str, int]:
        return {image_id: change.version for image_id, change in self.stored.items()}

    def requests(self, changes: Sequence[Change]) -> Iterable[Sequence[Change]]:
        return batched(changes, self._per_request)

    def send(self, changes: Sequence[Change], within: float | None = None) -> Sequence[Outcome]:
        self.sent.append(changes)
        self.within.append(within)
        images = [one.image_id for one in changes]
        assert len(set(images)) == len(images), "a request holds changes of different images"
        outcomes: dict[str, Outcome] = {}
        for image_id in images:
            match self._always.get(image_id):
                case None:
                    pass
                case SinkError() as error:
                    raise error
                case outcome:
                    outcomes[image_id] = outcome
        match next(self._script, {}):
            case SinkError() as error:
                raise error
            case AnswerLost():
                self._write_all(changes, outcomes)
                raise RequestFailedError("the answer was lost")
            case scripted:
                return self._write_all(changes, outcomes | dict(scripted))

    def check(self) -> None:
        self.checks += 1
        error = next(self._schema, None)
        if error is not None:
            raise error

    def _write_all(
        self, changes: Sequence[Change], outcomes: Mapping[str, Outcome]
    ) -> Sequence[Outcome]:
        return [outcomes.get(one.image_id) or self.write(one) for one in changes]

    def write(self, change: Change) -> Outcome:
        """What becomes of one change, in a request that works."""
        stored = self.stored.get(change.image_id)
        if stored is None or stored.version < change.version:
            self.stored[change.image_id] = change
            return Applied()
        its = held(stored.version, stored.arrived_at, stored.occurred_at)
        if stored.version > change.version:
            return Stale(its)
        if digest_of(stored) == digest_of(change):
            return Duplicate(its)
        return Conflict(
            f"version {change.version} is taken: stored is {describe_change(stored)}, "
            f"this is {describe_change(change)}",
            its,
        )
