"""Operators discard quarantined records, also two of them at once, and are killed meanwhile."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, cast

import msgspec
from botocore.exceptions import BotoCoreError, ClientError

from lockstep.quarantine.cases import Case
from lockstep.simulation.components import BUCKET, CHANGES_STREAM
from lockstep.simulation.faulty_network import CrashedError
from lockstep.simulation.in_line import InLine
from lockstep.simulation.operators.promises import Promises
from lockstep.simulation.operators.tools import Surroundings, Tools
from lockstep.simulation.system import System
from lockstep.simulation.violation import ViolationError
from lockstep.stores.objects import BucketObjects
from shared.quarantine import PREFIX, TABLE_CONSUMER

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

_DISCARDED = "discarded/"
_MOST_POISON, _MOST_RUNS = 3, 4
# The requests of a discard of a few records, at most.
_MOST_REQUESTS = 12
_KILLED_SHARE, _MEANWHILE_SHARE = 0.5, 0.4
_MEANWHILE_SECONDS = 0.3
_REASONS = ("test data", "the source gave it up")
_PEOPLE = ("ann", "bob")


class GivingUp:
    """Puts records into the quarantine, and discards some of them."""

    def __init__(
        self,
        tools: Tools,
        promises: Promises,
        replay_all: Callable[[], None],
        around: Surroundings,
    ) -> None:
        """Act on this system; `replay_all` replays all that a replay may read."""
        self._system: System = tools.system
        self._promises = promises
        self._replay_all = replay_all
        self._around = around
        self._is_running = False
        self._objects = BucketObjects(cast("S3Client", tools.system.bucket), BUCKET)

    def step(self) -> None:
        """Discard some of what is in quarantine; then replay, which must not bring it back.

        Raises:
            ViolationError: O1 or O2 is broken. I1: a trace is not complete, or another reason
                replaced the first one. O6: a discarded record is still in quarantine, or there
                again.
        """
        chance = self._system.conditions.chance
        for _ in range(chance.randint(1, _MOST_POISON)):
            self._around.put_poison()
        self._around.drain()
        self._system.time.settle()  # late copies of what a consumer wrote
        found = self._around.quarantined()
        if not found:
            return
        cases = chance.sample(found, chance.randint(1, len(found)))
        keys = {key for case in cases for key in case.keys}
        self._around.resume()
        with self._promises.kept("O1", "O2"):
            self._discard(cases)
            self._discard_late_copies(cases, keys)
        self._check_gone(cases, keys)
        self._replay_all()
        self._check_gone(cases, keys)
        self._around.resume()

    def _discard(self, cases: Sequence[Case]) -> None:
        """Discard these, as often as it breaks off; at last without faults."""
        conditions, chance = self._system.conditions, self._system.conditions.chance
        self._is_running = True
        if chance.random() < _MEANWHILE_SHARE:
            self._system.time.later(
                chance.random() * _MEANWHILE_SECONDS, lambda: self._another(cases)
            )
        for run in range(_MOST_RUNS):
            if run == _MOST_RUNS - 1:
                self._around.drain()  # it ends all faults, also those of the bucket
            elif chance.random() < _KILLED_SHARE:
                conditions.kill_in = chance.randint(1, _MOST_REQUESTS)
            is_done = self._run(cases)
            conditions.kill_in = None
            if is_done:
                break
        self._is_running = False
        conditions.tally["discarded by an operator"] += len(cases)

    def _discard_late_copies(self, cases: Sequence[Case], keys: set[str]) -> None:
        """A request that timed out may write an object again: the operator discards it again.

        Raises:
            ViolationError: O6: an object was not moved.
        """
        self._around.drain()
        self._system.time.settle()
        objects = self._system.bucket.objects
        left = [
            key
            for key in sorted(keys & objects.keys() - self._system.forged)
            if key.replace(PREFIX, _DISCARDED, 1) not in objects
        ]
        if left:
            raise ViolationError("O6", f"a discard left {len(left)} objects in quarantine: {left}")
        ids = {case.id for case in cases}
        again = [case for case in self._around.quarantined() if case.id in ids]
        if again:
            self._run(again)

    def _another(self, cases: Sequence[Case]) -> None:
        """In the middle of it, another operator discards the same."""
        if self._is_running:
            self._system.conditions.tally["two discards at once"] += 1
            self._system.conditions.interleave(lambda: self._try(cases))

    def _try(self, cases: Sequence[Case]) -> None:
        self._run(cases)

    def _run(self, cases: Sequence[Case]) -> bool:
        """Discard these; return whether neither an error nor a kill ended it."""
        system, chance = self._system, self._system.conditions.chance
        before = self._traces()
        # What the list says may be out of date: another operator may have moved some.
        discarder = system.components.discarder(
            self._objects,
            TABLE_CONSUMER,  # the mappings here have the names of the functions
            clock=system.producers_clock(),
            executor=InLine(),
            changes_stream=CHANGES_STREAM,
        )
        try:
            discarder.discard(
                cases,
                self._around.fetched(),
                reason=chance.choice(_REASONS),
                by=chance.choice(_PEOPLE),
            )
        except CrashedError:
            system.conditions.tally["discard killed"] += 1
            return False
        except (BotoCoreError, ClientError):
            system.conditions.tally["discard broken off"] += 1
            return False
        finally:
            self._check_first(before)
        return True

    def _traces(self) -> Mapping[str, Mapping[str, str]]:
        return {
            key: msgspec.json.decode(body).get("discarded", {})
            for key, body in self._system.bucket.objects.items()
            if key.startswith(_DISCARDED)
        }

    def _check_first(self, before: Mapping[str, Mapping[str, str]]) -> None:
        """I1: each trace is complete, and the first one of a record stays."""
        now = self._traces()
        for key, trace in now.items():
            if trace.keys() != {"at", "reason", "by"} or trace["reason"] not in _REASONS:
                raise ViolationError(
                    "I1", f"a discard kept only {sorted(trace)} about itself, in {key}"
                )
        changed = [key for key, trace in before.items() if now.get(key) != trace]
        if changed:
            raise ViolationError(
                "I1", f"the first reasons of {len(changed)} discarded records are lost: {changed}"
            )

    def _check_gone(self, cases: Sequence[Case], keys: set[str]) -> None:
        """O6: the records are discarded, and neither listed nor in quarantine any more.

        Another consumer may quarantine such a record later: it took the record once, and the
        replay finds another version in its store.
        """
        discarded = {(case.id, function) for case in cases for function in case.functions}
        left = [
            case.id
            for case in self._around.quarantined()
            if any((case.id, function) in discarded for function in case.functions)
        ]
        there = sorted(keys & self._system.bucket.objects.keys() - self._system.forged)
        if left or there:
            raise ViolationError(
                "O6", f"{len(there)} discarded objects are in quarantine: {left} {there}"
            )
