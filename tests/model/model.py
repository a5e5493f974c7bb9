"""The protocol in small: one image, two stores, every fault, and a finite number of states.

Times are ages in ticks. An age that no rule distinguishes from a higher one is not counted further,
so the number of states is finite although time never ends. Every rule is a method of `Rules`; a bug
replaces one method (bugs.py). docs/internals/model.md relates the model to the real system.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

GONE = "-"
"""The content of a deletion; images have letters."""

type Outcome = Literal["applied", "duplicate", "stale", "conflict", "refused"]
type StoreName = Literal["table", "index"]
type Why = Literal["refused", "conflict"]

SETTLED = "settled"
STORES: Sequence[StoreName] = ("table", "index")


class Event(NamedTuple):
    """An event of a producer: this version of the image has this content, or is deleted."""

    version: int
    content: str

    def __str__(self) -> str:
        return f"{'remove' if self.content == GONE else self.content}@{self.version}"


class Record(NamedTuple):
    """An event on the stream: the age of its arrival, and of its first arrival (if redriven)."""

    event: Event
    age: int
    first: int


class Quarantined(NamedTuple):
    """A record in quarantine: its event, the age of its first arrival, and the reason."""

    event: Event
    first: int
    why: Why


class Held(NamedTuple):
    """What a store holds: an image, or a tombstone, whose age counts."""

    event: Event
    age: int


class Store(NamedTuple):
    """One store, the position of its consumer in the stream, and its part of the quarantine.

    `highest` is the highest version that it ever held, with its content; a real store does not know
    it. `refuses` is an event that it refuses until it is repaired. `past`: what the table held
    before, and how long ago, as far back as a restore may go.
    """

    held: Held | None
    highest: Event | None
    position: int
    quarantine: frozenset[Quarantined]
    refuses: Event | None
    past: frozenset[tuple[Held | None, int]] = frozenset()


class Settings(NamedTuple):
    """What an operator may set: the retention of the stream, and how old a redriven record is."""

    retention: int = 1
    quarantine_age: int = 1

    def __str__(self) -> str:
        return f"retention {self.retention}, quarantine age {self.quarantine_age}"


class World(NamedTuple):
    """What both consumers see. `arrivals` has all events ever accepted, with their ages.

    `copies`, `refusals` and `restores`: how many more records may arrive twice, events may be
    refused, and times the table may be restored.
    """

    stream: tuple[Record, ...]
    arrivals: frozenset[tuple[Event, int]]
    copies: int
    refusals: int
    settings: Settings = Settings()
    restores: int = 0


class State(NamedTuple):
    """The whole state; the stores are table and index."""

    world: World
    stores: tuple[Store, Store]


class Move(NamedTuple):
    """A possible step of a store and its consumer, and the store after it."""

    what: str
    store: Store


@dataclass(frozen=True)
class Bounds:
    """The size of a world, and its durations in ticks.

    `contests`: how many versions may have two contents. `settings`: between these, the settings
    change at any time. `spare`: by how much the horizon is longer than the longest retention and
    the quarantine age. `late`: how much later than a higher version producers may put a lower one.
    `lost_answers`: whether they put an event twice. `check_first`: a store refuses only what passes
    its version check, as DynamoDB does; OpenSearch looks at the document first. `versions_tell`: a
    redrive sees from the version how old an event is, and so which record is late. `restores`: how
    often the table is restored, to what it held at most `restorable` ticks before; then there are
    repairs, too.
    """

    versions: int = 3
    contests: int = 0
    copies: int = 1
    refusals: int = 1
    settings: tuple[Settings, ...] = (Settings(),)
    spare: int = 0
    late: int = 0
    lost_answers: bool = True
    check_first: bool = False
    versions_tell: bool = False
    restores: int = 0
    restorable: int = 0

    @property
    def retention(self) -> int:
        """The longest retention."""
        return max(one.retention for one in self.settings)

    @property
    def quarantine_age(self) -> int:
        """The highest quarantine age."""
        return max(one.quarantine_age for one in self.settings)

    @property
    def horizon(self) -> int:
        """How long tombstones stay, whatever the settings are now."""
        return self.retention + self.quarantine_age + self.spare

    @property
    def oldest_version(self) -> int:
        """How old the version of a redriven record may be."""
        return self.horizon - self.retention


class Rules:
    """The rules of docs/internals/invariants.md. A subclass is another protocol.

    Both stores have the same rules unless a subclass sets `stores_are_alike` to false.
    """

    stores_are_alike = True
    time_waits = True
    """Whether no consumer falls a whole retention behind, so that no unread record is trimmed."""
    settings_wait = True
    """Whether the retention is lowered only when nothing unread is trimmed by that."""

    def __init__(self, bounds: Bounds) -> None:
        self.bounds = bounds
        if bounds.restores:
            self.stores_are_alike = False
        self._known: dict[
            tuple[StoreName, Store, tuple[Record, ...], bool, Settings], list[tuple[str, Store]]
        ] = {}

    @property
    def start(self) -> State:
        """The first state."""
        empty = Store(None, None, 0, frozenset(), None)
        bounds = self.bounds
        world = World(
            (), frozenset(), bounds.copies, bounds.refusals, bounds.settings[0], bounds.restores
        )
        return State(world, (empty, empty))

    # The rules of writing. Bugs replace these.

    def version_check(self, store: StoreName, held: Held | None, event: Event) -> Outcome:  # noqa: ARG002 - bugs ask
        """A strictly higher version wins."""
        if held is None or held.event.version < event.version:
            return "applied"
        if held.event.version > event.version:
            return "stale"
        return "duplicate" if held.event == event else "conflict"

    def written(self, store: StoreName, record: Record, settings: Settings) -> Held | None:  # noqa: ARG002 - bugs ask
        """What a store holds after a write: an image, or a tombstone as old as its record."""
        return Held(record.event, record.age if record.event.content == GONE else 0)

    def fold(self, batch: Sequence[Record]) -> list[Record]:
        """Candidates, the best first: highest version, then first in the batch."""
        first: dict[Event, Record] = {}
        for record in batch:
            first.setdefault(record.event, record)
        return sorted(first.values(), key=lambda one: -one.event.version)

    def may_purge(self, store: StoreName, held: Held) -> bool:  # noqa: ARG002 - bugs ask
        """Only a tombstone, and only after the horizon."""
        return held.event.content == GONE and held.age > self.bounds.horizon

    def may_redrive(self, quarantined: Quarantined, world: World) -> bool:
        """Only a refused record that is not too old; a person resolves a conflict."""
        return (
            quarantined.why == "refused"
            and quarantined.first <= world.settings.quarantine_age
            and not (self.bounds.versions_tell and self.is_late(quarantined, world))
        )

    def is_late(self, quarantined: Quarantined, world: World) -> bool:
        """Whether it would be late now: its version is at least as old as each higher one."""
        version = quarantined.event.version
        higher_ones = (age for other, age in world.arrivals if other.version > version)
        return max(higher_ones, default=0) > self.bounds.oldest_version

    def may_purge_index(self, table: Held | None, index: Held) -> bool:
        """Where the table may be restored: only if the table does not hold an older image."""
        if table is not None and not self.may_purge("table", table):
            return self.may_purge("index", index) and table.event.version >= index.event.version
        return self.may_purge("index", index)

    def repair(self, table: Store, index: Store) -> Store:
        """The index after a plain repair: from the table, and never to a lower version."""
        held, there = table.held, index.held
        if held is None or self.may_purge("table", held):
            return index
        if there is not None and there.event.version >= held.event.version:
            return index
        return index._replace(held=held, highest=higher(index.highest, held.event))

    def redriven(self, quarantined: Quarantined) -> Record:
        """The new record of a redriven one: it keeps the age of the first arrival."""
        return Record(quarantined.event, 0, quarantined.first)

    def judged(
        self, outcome: Outcome, best: Record, rest: Sequence[Record]
    ) -> tuple[Sequence[Record], Sequence[Record]]:
        """The candidates to quarantine, and those to try next; the others are settled."""
        same = [one for one in rest if one.event.version == best.event.version]
        match outcome:
            case "applied" | "duplicate":
                return same, ()
            case "stale":
                return (), ()
            case "conflict":
                return [best], same
            case "refused":
                return [best], rest

    def quarantines(self, why: Why) -> bool:  # noqa: ARG002 - bugs ask
        """Whether such a record is quarantined."""
        return True

    def settles(
        self,
        before: Store,  # noqa: ARG002 - bugs ask
        steps: Sequence[Move],
        settled: Store,
    ) -> Iterator[tuple[str, Store]]:
        """The possible ends of a delivery: a crash after each step, or settled after the last."""
        for step in steps:
            yield f"{step.what}, then it crashes", step.store
        yield SETTLED, settled

    def after_failure(self, store: Store, batch: Sequence[Record]) -> Store:  # noqa: ARG002 - bugs ask
        """A batch that failed is reported, so the checkpoint stays."""
        return store

    def redrives(self, state: State, quarantined: Quarantined) -> Iterator[tuple[str, State]]:
        """Put it on the stream, then remove it from quarantine; a crash may leave it in both."""
        yield (
            f"redrive puts {quarantined.event} on the stream and crashes",
            self.back_on_stream(state, quarantined),
        )
        moved = without(self.back_on_stream(state, quarantined), quarantined)
        yield f"redrive puts {quarantined.event} on the stream, out of quarantine", moved

    def back_on_stream(self, state: State, quarantined: Quarantined) -> State:
        """The first half of a redrive."""
        world = state.world
        record = self.redriven(quarantined)
        return state._replace(
            world=world._replace(stream=(*world.stream, record), copies=world.copies - 1)
        )

    # What may happen next.

    def puts(self, world: World) -> Iterator[tuple[str, World]]:
        """Producers put versions in any order, twice after a lost answer, or with two contents."""
        arrived = {event for event, _ in world.arrivals}
        versions = {event.version for event in arrived}
        contests = self.bounds.contests - (len(arrived) - len(versions))
        for version in range(1, self.bounds.versions + 1):
            for content in ("A", "B", GONE):
                event = Event(version, content)
                if self._comes_too_late(event, world):
                    continue
                stream = (*world.stream, Record(event, 0, 0))
                if event in arrived:
                    if world.copies and self.bounds.lost_answers:
                        again = world._replace(stream=stream, copies=world.copies - 1)
                        yield f"producer puts {event} again", again
                elif (contests or version not in versions) and self._is_next(event, arrived):
                    arrivals = world.arrivals | {(event, 0)}
                    new = world._replace(stream=stream, arrivals=arrivals)
                    yield f"producer puts {event}", new

    def moves(self, name: StoreName, store: Store, world: World) -> Iterator[Move]:
        """The possible steps of one store and its consumer."""
        refusing = world.refusals > 0 and store.refuses is None
        fresh = store._replace(position=0)
        for start in range(store.position + 1):
            for end in range(start + 1, len(world.stream) + 1):
                batch = world.stream[start:end]
                again = ": again " if end <= store.position else ": "
                for what, after in self._delivered(name, fresh, batch, refusing, world.settings):
                    position = max(store.position, start + after.position)
                    then = (
                        after if position == after.position else after._replace(position=position)
                    )
                    yield Move(f"{name}{again}{what}", then)
        together = self.bounds.restores and name == "index"
        if store.held is not None and not together and self.may_purge(name, store.held):
            gone = self._held(name, store, None)
            yield Move(f"{name}: tombstone {store.held.event} is purged", gone)
        if store.refuses is not None:
            repaired = store._replace(refuses=None)
            yield Move(f"{name}: is repaired, accepts {store.refuses}", repaired)

    def calm(self, name: StoreName, store: Store, world: World) -> Store:
        """The store after one delivery of all waiting records, without faults."""
        waiting = world.stream[store.position :]
        if not waiting:
            return store
        fresh = store._replace(position=0)
        ends = self._delivered(name, fresh, waiting, False, world.settings)  # noqa: FBT003 - as above
        after = next(after for what, after in ends if what.endswith(SETTLED))
        return after._replace(position=store.position + after.position)

    def redriving(self, state: State) -> Iterator[tuple[str, State]]:
        """The possible redrives; the search tries every order."""
        if state.world.copies:
            for quarantined in sorted(frozenset.union(*(one.quarantine for one in state.stores))):
                if self.may_redrive(quarantined, state.world):
                    yield from self.redrives(state, quarantined)

    def operating(self, state: State) -> Iterator[tuple[str, State]]:
        """A restore of the table, a repair, and the purge of the index."""
        world, (table, index) = state
        for held, ago in table.past if world.restores else ():
            restored = table._replace(
                held=held, highest=held and held.event, position=0, past=frozenset()
            )
            after = world._replace(restores=world.restores - 1)
            what = f"table: restored to {held.event if held else 'nothing'}, of {ago} ticks ago"
            yield what, State(after, (restored, index))
        repaired = self.repair(table, index)
        if repaired != index:
            made = repaired.held.event if repaired.held else "nothing"
            yield f"repair: the index gets {made}", State(world, (table, repaired))
        if index.held is not None and self.may_purge_index(table.held, index.held):
            purged = index._replace(held=None)
            yield f"index: tombstone {index.held.event} is purged", State(world, (table, purged))

    def changes(self, world: World) -> Iterator[tuple[str, World, int]]:
        """The settings that may be set now, with the number of records that this trims."""
        for settings in self.bounds.settings:
            if settings != world.settings:
                stream = tuple(one for one in world.stream if one.age <= settings.retention)
                after = world._replace(settings=settings, stream=stream)
                yield f"settings: {settings}", after, len(world.stream) - len(stream)

    def trimmed(self, world: World) -> int:
        """The number of records that the next tick trims."""
        return sum(one.age == world.settings.retention for one in world.stream)

    def later(self, world: World) -> World:
        """The world one tick later."""
        bounds = self.bounds
        oldest = max(bounds.late, bounds.oldest_version if bounds.versions_tell else 0)
        return world._replace(
            stream=tuple(
                Record(one.event, one.age + 1, min(one.first, bounds.quarantine_age) + 1)
                for one in world.stream
                if one.age < world.settings.retention
            ),
            arrivals=frozenset((event, min(age, oldest) + 1) for event, age in world.arrivals),
        )

    def aged(self, store: Store, trimmed: int) -> Store:
        """The store one tick later, after this many records were trimmed."""
        bounds = self.bounds
        return store._replace(
            held=self._older(store.held),
            past=frozenset(
                (self._older(held), ago + 1) for held, ago in store.past if ago < bounds.restorable
            ),
            position=max(0, store.position - trimmed),
            quarantine=frozenset(
                quarantined._replace(first=min(quarantined.first, bounds.quarantine_age) + 1)
                if quarantined.why == "refused"
                else quarantined
                for quarantined in store.quarantine
            ),
        )

    def shifted(self, store: Store, trimmed: int) -> Store:
        """The store after this many records were trimmed."""
        return store._replace(position=max(0, store.position - trimmed))

    def _older(self, held: Held | None) -> Held | None:
        """What was held, a tick later: only the age of a tombstone counts."""
        if held is None or held.event.content != GONE:
            return held
        return Held(held.event, min(held.age, self.bounds.horizon) + 1)

    def _held(self, name: StoreName, store: Store, held: Held | None) -> Store:
        """The store with this, and its past."""
        if not self.bounds.restores or name != "table":
            return store._replace(held=held)
        return store._replace(held=held, past=store.past | {(store.held, 0)})

    def _comes_too_late(self, event: Event, world: World) -> bool:
        """Whether a version at least as high is already too old for this event to come."""
        return any(
            age > self.bounds.late
            for other, age in world.arrivals
            if other.version >= event.version and other != event
        )

    def _is_next(self, event: Event, arrived: set[Event]) -> bool:
        """Content B comes only after A, because the two names are interchangeable."""
        return event.content != "B" or Event(event.version, "A") in arrived

    def _delivered(
        self,
        name: StoreName,
        store: Store,
        batch: tuple[Record, ...],
        refusing: bool,  # noqa: FBT001 - one key with the others
        settings: Settings,
    ) -> list[tuple[str, Store]]:
        """The possible results of a batch, cached; positions count from its beginning."""
        case = (name, store, batch, refusing, settings)
        found = self._known.get(case)
        if found is None:
            found = self._known[case] = list(self.ends(name, store, batch, settings))
            failed = self.after_failure(store, batch)
            if failed != store:
                found.append((f"{_listed(batch)}: the store fails", failed))
            if refusing:
                for event in sorted({one.event for one in batch}):
                    found += self.ends(name, store._replace(refuses=event), batch, settings)
        return found

    def ends(
        self,
        name: StoreName,
        store: Store,
        batch: Sequence[Record],
        settings: Settings = Settings(),  # noqa: B008 - immutable
    ) -> Iterator[tuple[str, Store]]:
        """The possible ends of a delivery to this store."""
        said = _listed(batch) + (f", {store.refuses} is refused" if store.refuses else "")
        now = store
        steps: list[Move] = []
        unsettled: set[Event] = set()  # if the quarantine is down
        candidates: Sequence[Record] = self.fold(batch)
        while candidates:
            best, *rest = candidates
            outcome = self.version_check(name, now.held, best.event)
            asked = outcome == "applied" or not self.bounds.check_first
            refused = asked and best.event == store.refuses
            if refused:
                outcome = "refused"
            if outcome == "applied":
                now = self._write(name, now, best, settings)
                steps.append(Move(f"writes {best.event}", now))
            bad, candidates = self.judged(outcome, best, rest)
            for candidate in bad:
                why: Why = "refused" if refused else "conflict"
                if self.quarantines(why):
                    unsettled.add(candidate.event)
                    now = _quarantine(now, candidate.event, why, batch)
                    steps.append(Move(f"quarantines {candidate.event}", now))
        for what, after in self.settles(store, steps, now._replace(position=len(batch))):
            yield f"{said}: {what}", after
        if unsettled:
            lowest = min(at for at, one in enumerate(batch) if one.event in unsettled)
            held_back = now._replace(quarantine=store.quarantine, position=lowest)
            yield f"{said}: the quarantine is down, held back", held_back

    def _write(self, name: StoreName, store: Store, record: Record, settings: Settings) -> Store:
        after = self._held(name, store, self.written(name, record, settings))
        return after._replace(highest=higher(store.highest, record.event))


def without(state: State, quarantined: Quarantined) -> State:
    """The state without this record in either part of the quarantine."""
    table, index = (one._replace(quarantine=one.quarantine - {quarantined}) for one in state.stores)
    return state._replace(stores=(table, index))


def _quarantine(store: Store, event: Event, why: Why, batch: Sequence[Record]) -> Store:
    """Quarantine each record of the batch with this event; a conflict does not age."""
    quarantined = {Quarantined(event, one.first, why) for one in batch if one.event == event}
    if why == "conflict":
        quarantined = {Quarantined(event, 0, why)}
    return store._replace(quarantine=store.quarantine | quarantined)


def higher(highest: Event | None, event: Event) -> Event:
    """The higher of both; of equals the first."""
    return event if highest is None or event.version > highest.version else highest


def _listed(records: Sequence[Record]) -> str:
    return ", ".join(str(one.event) for one in records)
