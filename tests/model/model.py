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
    it. `refuses` is an event that it refuses until it is repaired.
    """

    held: Held | None
    highest: Event | None
    position: int
    quarantine: frozenset[Quarantined]
    refuses: Event | None


class World(NamedTuple):
    """What both consumers see. `arrivals` has all events ever accepted, with their ages.

    `copies` and `refusals`: how many more records may arrive twice, and events may be refused.
    """

    stream: tuple[Record, ...]
    arrivals: frozenset[tuple[Event, int]]
    copies: int
    refusals: int


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

    `contests`: how many versions may have two contents. `late`: how much later than a higher
    version producers may put a lower one. `lost_answers`: whether they put an event twice.
    `check_first`: a store refuses only what passes its version check, as DynamoDB does; OpenSearch
    looks at the document first.
    """

    versions: int = 3
    contests: int = 0
    copies: int = 1
    refusals: int = 1
    retention: int = 1
    quarantine_age: int = 1
    late: int = 0
    lost_answers: bool = True
    check_first: bool = False

    @property
    def horizon(self) -> int:
        """How long tombstones stay."""
        return self.retention + self.quarantine_age + self.late


class Rules:
    """The rules of docs/internals/invariants.md. A subclass is another protocol.

    Both stores have the same rules unless a subclass sets `stores_are_alike` to false.
    """

    stores_are_alike = True
    time_waits = True
    """Whether no consumer falls a whole retention behind, so that no unread record is trimmed."""

    def __init__(self, bounds: Bounds) -> None:
        self.bounds = bounds
        self._known: dict[
            tuple[StoreName, Store, tuple[Record, ...], bool], list[tuple[str, Store]]
        ] = {}

    @property
    def start(self) -> State:
        """The first state."""
        empty = Store(None, None, 0, frozenset(), None)
        world = World((), frozenset(), self.bounds.copies, self.bounds.refusals)
        return State(world, (empty, empty))

    # The rules of writing. Bugs replace these.

    def version_check(self, store: StoreName, held: Held | None, event: Event) -> Outcome:  # noqa: ARG002 - bugs ask
        """A strictly higher version wins."""
        if held is None or held.event.version < event.version:
            return "applied"
        if held.event.version > event.version:
            return "stale"
        return "duplicate" if held.event == event else "conflict"

    def written(self, store: StoreName, record: Record) -> Held | None:  # noqa: ARG002 - bugs ask
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

    def may_redrive(self, quarantined: Quarantined) -> bool:
        """Only a refused record, up to the quarantine age; a person resolves a conflict."""
        return quarantined.why == "refused" and quarantined.first <= self.bounds.quarantine_age

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
                for what, after in self._delivered(name, fresh, batch, refusing):
                    position = max(store.position, start + after.position)
                    then = (
                        after if position == after.position else after._replace(position=position)
                    )
                    yield Move(f"{name}{again}{what}", then)
        if store.held is not None and self.may_purge(name, store.held):
            gone = store._replace(held=None)
            yield Move(f"{name}: tombstone {store.held.event} is purged", gone)
        if store.refuses is not None:
            repaired = store._replace(refuses=None)
            yield Move(f"{name}: is repaired, accepts {store.refuses}", repaired)

    def calm(self, name: StoreName, store: Store, world: World) -> Store:
        """The store after one delivery of all waiting records, without faults."""
        waiting = world.stream[store.position :]
        if not waiting:
            return store
        ends = self._delivered(name, store._replace(position=0), waiting, False)  # noqa: FBT003 - as above
        after = next(after for what, after in ends if what.endswith(SETTLED))
        return after._replace(position=store.position + after.position)

    def redriving(self, state: State) -> Iterator[tuple[str, State]]:
        """The possible redrives; the search tries every order."""
        if state.world.copies:
            for quarantined in sorted(frozenset.union(*(one.quarantine for one in state.stores))):
                if self.may_redrive(quarantined):
                    yield from self.redrives(state, quarantined)

    def trimmed(self, world: World) -> int:
        """The number of records that the next tick trims."""
        return sum(one.age == self.bounds.retention for one in world.stream)

    def later(self, world: World) -> World:
        """The world one tick later."""
        bounds = self.bounds
        return world._replace(
            stream=tuple(
                Record(one.event, one.age + 1, min(one.first, bounds.quarantine_age) + 1)
                for one in world.stream
                if one.age < bounds.retention
            ),
            arrivals=frozenset((event, min(age, bounds.late) + 1) for event, age in world.arrivals),
        )

    def aged(self, store: Store, trimmed: int) -> Store:
        """The store one tick later, after this many records were trimmed."""
        bounds = self.bounds
        held = store.held
        if held is not None and held.event.content == GONE:
            held = Held(held.event, min(held.age, bounds.horizon) + 1)
        return store._replace(
            held=held,
            position=max(0, store.position - trimmed),
            quarantine=frozenset(
                quarantined._replace(first=min(quarantined.first, bounds.quarantine_age) + 1)
                if quarantined.why == "refused"
                else quarantined
                for quarantined in store.quarantine
            ),
        )

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
    ) -> list[tuple[str, Store]]:
        """The possible results of a batch, cached; positions count from its beginning."""
        case = (name, store, batch, refusing)
        found = self._known.get(case)
        if found is None:
            found = self._known[case] = list(self.ends(name, store, batch))
            failed = self.after_failure(store, batch)
            if failed != store:
                found.append((f"{_listed(batch)}: the store fails", failed))
            if refusing:
                for event in sorted({one.event for one in batch}):
                    found += self.ends(name, store._replace(refuses=event), batch)
        return found

    def ends(
        self, name: StoreName, store: Store, batch: Sequence[Record]
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
                now = self._write(name, now, best)
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

    def _write(self, name: StoreName, store: Store, record: Record) -> Store:
        held = self.written(name, record)
        return store._replace(held=held, highest=higher(store.highest, record.event))


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
