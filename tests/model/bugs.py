"""Protocol bugs: each replaces one rule of the model, and must break an invariant."""

from collections.abc import Iterator, Mapping, Sequence
from typing import override

import msgspec

from tests.model.model import (
    GONE,
    SETTLED,
    Bounds,
    Event,
    Held,
    Move,
    Outcome,
    Quarantined,
    Record,
    Rules,
    Settings,
    State,
    Store,
    StoreName,
    Why,
    World,
    higher,
    without,
)


class NoVersionCheck(Rules):
    @override
    def version_check(self, store: StoreName, held: Held | None, event: Event) -> Outcome:
        return "applied"


class NoVersionCheckInTheIndex(Rules):
    stores_are_alike = False

    @override
    def version_check(self, store: StoreName, held: Held | None, event: Event) -> Outcome:
        return "applied" if store == "index" else super().version_check(store, held, event)


class EqualVersionsAreWritten(Rules):
    @override
    def version_check(self, store: StoreName, held: Held | None, event: Event) -> Outcome:
        if held is not None and held.event.version == event.version:
            return "applied"
        return super().version_check(store, held, event)


class OtherContentIsWritten(Rules):
    @override
    def version_check(self, store: StoreName, held: Held | None, event: Event) -> Outcome:
        outcome = super().version_check(store, held, event)
        return "applied" if outcome == "conflict" else outcome


class RemovalsPassTheVersionCheck(Rules):
    @override
    def version_check(self, store: StoreName, held: Held | None, event: Event) -> Outcome:
        return "applied" if event.content == GONE else super().version_check(store, held, event)


class ConflictsAreDuplicates(Rules):
    @override
    def version_check(self, store: StoreName, held: Held | None, event: Event) -> Outcome:
        outcome = super().version_check(store, held, event)
        return "duplicate" if outcome == "conflict" else outcome


class ConflictsAreDropped(Rules):
    @override
    def quarantines(self, why: Why) -> bool:
        return why != "conflict"


class RemovalsLeaveNothing(Rules):
    @override
    def written(self, store: StoreName, record: Record, settings: Settings) -> Held | None:
        return None if record.event.content == GONE else super().written(store, record, settings)


class TombstonesHaveNoVersion(Rules):
    @override
    def written(self, store: StoreName, record: Record, settings: Settings) -> Held | None:
        unknown = Held(Event(0, GONE), record.age)
        return unknown if record.event.content == GONE else super().written(store, record, settings)


class TheTablesTombstonesHaveNoVersion(TombstonesHaveNoVersion):
    stores_are_alike = False

    @override
    def written(self, store: StoreName, record: Record, settings: Settings) -> Held | None:
        return (
            super().written(store, record, settings)
            if store == "table"
            else Rules.written(self, store, record, settings)
        )


class TombstonesArePurgedAtOnce(Rules):
    @override
    def may_purge(self, store: StoreName, held: Held) -> bool:
        return held.event.content == GONE


class TheIndexForgetsDeletions(Rules):
    stores_are_alike = False

    @override
    def may_purge(self, store: StoreName, held: Held) -> bool:
        forgotten = store == "index" and held.event.content == GONE and held.age > 0
        return forgotten or super().may_purge(store, held)


class TheHorizonIsTheRetention(Rules):
    @override
    def may_purge(self, store: StoreName, held: Held) -> bool:
        return held.event.content == GONE and held.age > self.bounds.retention


class TheHorizonIsTheQuarantineAge(Rules):
    @override
    def may_purge(self, store: StoreName, held: Held) -> bool:
        return held.event.content == GONE and held.age > self.bounds.quarantine_age


class TheHorizonIsOneTickShort(Rules):
    @override
    def may_purge(self, store: StoreName, held: Held) -> bool:
        return held.event.content == GONE and held.age >= self.bounds.horizon


class TombstonesEndByTheSettings(Rules):
    """A tombstone ends after the retention and the quarantine age of the time of its write."""

    @override
    def written(self, store: StoreName, record: Record, settings: Settings) -> Held | None:
        held = super().written(store, record, settings)
        if held is None or held.event.content != GONE:
            return held
        kept = settings.retention + settings.quarantine_age + self.bounds.spare
        age = held.age + self.bounds.horizon - kept
        return Held(held.event, min(age, self.bounds.horizon + 1))


class LatenessIsThatOfTheFirstArrival(Rules):
    """A redrive asks whether a record was late when it arrived, not whether it is late now."""

    @override
    def is_late(self, quarantined: Quarantined, world: World) -> bool:
        version, first = quarantined.event.version, quarantined.first
        higher_ones = (age - first for other, age in world.arrivals if other.version > version)
        return max(higher_ones, default=0) > self.bounds.oldest_version


class RepairRemovesWhatTheTableLacks(Rules):
    @override
    def repair(self, table: Store, index: Store) -> Store:
        if table.held is None:
            return index._replace(held=None)
        return super().repair(table, index)


class TheTableWinsARepair(Rules):
    @override
    def repair(self, table: Store, index: Store) -> Store:
        if table.held is None or table.held == index.held:
            return super().repair(table, index)
        return index._replace(held=table.held)


class RemovalsThatTheTableLacksArePurged(Rules):
    @override
    def may_purge_index(self, table: Held | None, index: Held) -> bool:
        return self.may_purge("index", index)


class AnythingIsRedriven(Rules):
    @override
    def may_redrive(self, quarantined: Quarantined, world: World) -> bool:
        return quarantined.why == "refused"


class RedriveMakesYoung(Rules):
    @override
    def redriven(self, quarantined: Quarantined) -> Record:
        return Record(quarantined.event, 0, 0)


class RedriveWithoutVersionCheck(Rules):
    @override
    def redrives(self, state: State, quarantined: Quarantined) -> Iterator[tuple[str, State]]:
        moved = without(state, quarantined)
        event = quarantined.event
        table, index = (
            new._replace(held=Held(event, 0), highest=higher(old.highest, event))
            if quarantined in old.quarantine
            else new
            for old, new in zip(state.stores, moved.stores, strict=True)
        )
        yield f"redrive writes {event} into the store", moved._replace(stores=(table, index))


class RedriveMovesFirst(Rules):
    @override
    def redrives(self, state: State, quarantined: Quarantined) -> Iterator[tuple[str, State]]:
        yield (
            f"redrive removes {quarantined.event} from quarantine and crashes",
            without(state, quarantined),
        )
        yield from super().redrives(state, quarantined)


class AcknowledgesFirst(Rules):
    @override
    def settles(
        self, before: Store, steps: Sequence[Move], settled: Store
    ) -> Iterator[tuple[str, Store]]:
        for store in (before, *(step.store for step in steps)):
            yield "acknowledged, then it crashes", store._replace(position=settled.position)
        yield SETTLED, settled


class AcknowledgesBeforeQuarantine(Rules):
    @override
    def settles(
        self, before: Store, steps: Sequence[Move], settled: Store
    ) -> Iterator[tuple[str, Store]]:
        yield from super().settles(before, steps, settled)
        for store in (before, *(step.store for step in steps)):
            if store.held == settled.held and store.quarantine != settled.quarantine:
                early = store._replace(position=settled.position)
                yield "acknowledged before all is quarantined, then it crashes", early


class TheLastOneWins(Rules):
    @override
    def fold(self, batch: Sequence[Record]) -> list[Record]:
        return [batch[-1]]


class FailuresAreAcknowledged(Rules):
    @override
    def after_failure(self, store: Store, batch: Sequence[Record]) -> Store:
        return store._replace(position=len(batch))


class CheckpointOneTooHigh(Rules):
    @override
    def after_failure(self, store: Store, batch: Sequence[Record]) -> Store:
        return store._replace(position=1)


class RefusalsAreDropped(Rules):
    @override
    def quarantines(self, why: Why) -> bool:
        return why != "refused"


class NothingUnderARefusal(Rules):
    @override
    def judged(
        self, outcome: Outcome, best: Record, rest: Sequence[Record]
    ) -> tuple[Sequence[Record], Sequence[Record]]:
        return ([best], ()) if outcome == "refused" else super().judged(outcome, best, rest)


class RefusalsAreRetriedForever(Rules):
    @override
    def settles(
        self, before: Store, steps: Sequence[Move], settled: Store
    ) -> Iterator[tuple[str, Store]]:
        if settled.refuses is None:
            yield from super().settles(before, steps, settled)
        else:
            yield SETTLED, settled._replace(position=0)


# The assumptions of the protocol: it breaks without them.


class ConsumersFallBehind(Rules):
    """Records are trimmed before they are read."""

    time_waits = False


class TheRetentionIsLoweredAtOnce(Rules):
    """It is lowered while a consumer has not read what this trims."""

    settings_wait = False


class Bug(msgspec.Struct, frozen=True):
    """A protocol with a mistake, and the smallest world that shows it.

    `at_night`: it takes long, so only `make model` tries it.
    """

    rules: type[Rules]
    bounds: Bounds
    at_night: bool = False


PLAIN = Bounds(versions=2, copies=0, refusals=0)
CONTESTED = Bounds(versions=2, contests=1, copies=0, refusals=0)
REFUSING = Bounds(versions=2, copies=0)
REDRIVEN = Bounds(versions=2)
RETENTION_CHANGES = Bounds(
    versions=2, settings=(Settings(1, 1), Settings(2, 1)), lost_answers=False
)
AGE_CHANGES = Bounds(versions=2, settings=(Settings(1, 1), Settings(1, 2)), lost_answers=False)
LATE = Bounds(versions=2, late=1, versions_tell=True, lost_answers=False)
RESTORED = Bounds(versions=2, copies=0, refusals=0, restores=1, restorable=1)

BUGS: Mapping[str, Bug] = {
    "no version check": Bug(NoVersionCheck, PLAIN),
    "no version check in the index": Bug(NoVersionCheckInTheIndex, PLAIN),
    "version check: `<=` for `<`": Bug(EqualVersionsAreWritten, CONTESTED),
    "version check: an equal version with other content overwrites": Bug(
        OtherContentIsWritten, CONTESTED
    ),
    "version check: removals pass it": Bug(RemovalsPassTheVersionCheck, PLAIN),
    "conflict: taken for a duplicate": Bug(ConflictsAreDuplicates, CONTESTED),
    "conflict: not quarantined": Bug(ConflictsAreDropped, CONTESTED),
    "removal: hard delete": Bug(RemovalsLeaveNothing, PLAIN),
    "removal: tombstone without version": Bug(TombstonesHaveNoVersion, PLAIN),
    "removal: the table's tombstone without version": Bug(TheTablesTombstonesHaveNoVersion, PLAIN),
    "removal: the index forgets it after a while": Bug(TheIndexForgetsDeletions, PLAIN),
    "purge: at once": Bug(TombstonesArePurgedAtOnce, PLAIN),
    "purge: horizon without the quarantine age": Bug(TheHorizonIsTheRetention, REDRIVEN),
    "purge: horizon without the retention": Bug(TheHorizonIsTheQuarantineAge, REDRIVEN),
    "purge: horizon one tick too short": Bug(TheHorizonIsOneTickShort, REDRIVEN),
    "purge: the end follows the quarantine age at the write": Bug(
        TombstonesEndByTheSettings, AGE_CHANGES
    ),
    "purge: the end follows the retention at the write": Bug(
        TombstonesEndByTheSettings, RETENTION_CHANGES, at_night=True
    ),
    "purge: a removal that the restored table lacks": Bug(
        RemovalsThatTheTableLacksArePurged, RESTORED
    ),
    "repair: removes what the table lacks": Bug(RepairRemovesWhatTheTableLacks, RESTORED),
    "repair: the table wins over a higher version": Bug(TheTableWinsARepair, RESTORED),
    "redrive: late is what was late at its first arrival": Bug(
        LatenessIsThatOfTheFirstArrival, LATE
    ),
    "redrive: around the version check": Bug(RedriveWithoutVersionCheck, REDRIVEN),
    "redrive: whatever its age": Bug(AnythingIsRedriven, REDRIVEN),
    "redrive: age from the last arrival": Bug(
        RedriveMakesYoung, Bounds(versions=2, copies=2, lost_answers=False)
    ),
    "redrive: out of quarantine before it is on the stream": Bug(RedriveMovesFirst, REDRIVEN),
    "delivery: acknowledged before it is written": Bug(AcknowledgesFirst, PLAIN),
    "delivery: acknowledged before it is quarantined": Bug(AcknowledgesBeforeQuarantine, REFUSING),
    "delivery: fold by position": Bug(TheLastOneWins, PLAIN),
    "delivery: a failure is acknowledged": Bug(FailuresAreAcknowledged, PLAIN),
    "delivery: checkpoint skips a held image": Bug(CheckpointOneTooHigh, PLAIN),
    "delivery: a refusal is dropped": Bug(RefusalsAreDropped, REFUSING),
    "delivery: nothing tried under a refusal": Bug(NothingUnderARefusal, REFUSING),
    "delivery: a refusal is tried for ever": Bug(RefusalsAreRetriedForever, REFUSING),
}

ASSUMPTIONS: Mapping[str, Bug] = {
    "a producer is later than horizon - retention - quarantine age, and versions do not tell": Bug(
        Rules, Bounds(versions=2, late=1, lost_answers=False)
    ),
    "a producer is later than horizon - retention, and versions tell": Bug(
        Rules, Bounds(versions=2, late=2, versions_tell=True, lost_answers=False)
    ),
    "a consumer falls a whole retention behind": Bug(ConsumersFallBehind, PLAIN),
    "the retention is lowered before the consumers have caught up": Bug(
        TheRetentionIsLoweredAtOnce,
        Bounds(versions=2, copies=0, refusals=0, settings=(Settings(2, 1), Settings(1, 1))),
    ),
    "the table is restored to longer ago than horizon - retention": Bug(
        Rules, Bounds(versions=2, copies=0, refusals=0, restores=1, restorable=2)
    ),
    "the table is restored to before a deletion that was redriven to it late": Bug(
        Rules, Bounds(versions=2, restores=1, restorable=1, lost_answers=False), at_night=True
    ),
}

# Worlds whose states are all visited. Together they have every feature; WHOLE has all at once.
WORLDS: dict[str, Bounds] = {
    "3 versions, one record twice": Bounds(refusals=0),
    "3 versions, one event refused": Bounds(copies=0),
    "2 versions, one of them with two contents": Bounds(versions=2, contests=1, refusals=0),
    "2 versions, one event refused, one record twice or redriven": REDRIVEN,
    "2 versions, the same, but refused only where the version check lets it in": Bounds(
        versions=2, check_first=True
    ),
    "2 versions, the same, and producers up to a tick late": Bounds(versions=2, late=1, spare=1),
    "2 versions, one event refused or redriven, producers late, versions tell": LATE,
    "2 versions, one event refused or redriven, the retention changes": RETENTION_CHANGES,
    "2 versions, one record twice, the table restored": Bounds(
        versions=2, refusals=0, restores=1, restorable=1
    ),
}
# The worlds that `make model` visits, too.
AT_NIGHT: dict[str, Bounds] = {
    "2 versions, one event refused, any record twice, four pairs of settings": Bounds(
        versions=2,
        settings=tuple(Settings(retention, age) for retention in (1, 2) for age in (1, 2)),
    ),
    "2 versions, the same, producers two ticks late, versions tell": Bounds(
        versions=2, late=2, spare=1, versions_tell=True
    ),
    "3 versions, the table restored": Bounds(copies=0, refusals=0, restores=1, restorable=1),
    "2 versions, the table restored twice": Bounds(
        versions=2, copies=0, refusals=0, restores=2, restorable=1
    ),
    "2 versions, one event refused or redriven, the table restored": Bounds(
        versions=2, restores=1, restorable=1, spare=1, lost_answers=False
    ),
    "3 versions, everything at once": Bounds(),
}
