"""Search every reachable state, breadth first, and check the invariants in each.

The stores share only the stream, time and the redrive, so the steps of each store are computed once
for a stream. A state is one integer: the numbers of its world and of its two stores.
"""

from collections import deque
from collections.abc import Callable, Hashable, Iterator, Mapping
from functools import cache
from typing import NamedTuple

from tests.model.model import GONE, STORES, Event, Rules, State, Store, StoreName, World

_BITS = 20
_MASK = (1 << _BITS) - 1


class CounterExample(NamedTuple):
    """What is broken, and the fewest steps that lead there."""

    invariant: str
    why: str
    steps: tuple[str, ...]

    def __str__(self) -> str:
        numbered = (f"  {at}. {what}" for at, what in enumerate(self.steps, start=1))
        return "\n".join([*numbered, f"  {self.invariant}: {self.why}"])


class Found(NamedTuple):
    """The result of a search: the number of states and of steps, and what is broken."""

    states: int
    steps: int
    broken: CounterExample | None


class _Numbers[T: Hashable]:
    """A number for each thing, and the things by number."""

    def __init__(self) -> None:
        self._numbers: dict[T, int] = {}
        self.things: list[T] = []

    def of(self, thing: T) -> int:
        number = self._numbers.setdefault(thing, len(self.things))
        if number == len(self.things):
            self.things.append(thing)
        return number


class Search:
    """One search. If the rules treat both stores alike, mirrored states count as one."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._worlds: _Numbers[World] = _Numbers()
        self._stores: _Numbers[Store] = _Numbers()
        self._puts = cache(self._puts_of)
        self._later = cache(self._later_of)
        self._aged = cache(self._aged_of)
        self._changes = cache(self._changes_of)
        self._shifted = cache(self._shifted_of)
        self._checked = cache(self._checked_of)
        self._moves: dict[StoreName, Callable[[int, int], list[tuple[str, int, int]]]] = {
            name: cache(lambda world, store, name=name: self._moves_of(name, world, store))
            for name in STORES
        }

    def run(self) -> Found:
        """Visit every state, breadth first; stop at the first that breaks an invariant."""
        start = self._packed(self._rules.start)
        came: dict[int, int] = {start: start}  # each state's predecessor
        queue = deque([start])
        steps = 0
        while queue:
            state = queue.popleft()
            if self._broken(state) is not None:
                return Found(len(came), steps, self._counter_example(state, came))
            for _, after in self._steps(state):
                steps += 1
                one = self._one_of(after)
                if one not in came:
                    came[one] = state
                    queue.append(one)
        return Found(len(came), steps, None)

    def _steps(self, state: int) -> list[tuple[str, int]]:
        """The possible steps, each with the state after it."""
        world, table, index = state >> 2 * _BITS, state >> _BITS & _MASK, state & _MASK
        both = table << _BITS | index
        after = [(what, then | both) for what, then in self._puts(world)]
        after += [
            (what, then | store << _BITS | index)
            for what, then, store in self._moves["table"](world, table)
        ]
        after += [
            (what, then | table << _BITS | store)
            for what, then, store in self._moves["index"](world, index)
        ]
        then, trimmed = self._later(world)
        stores = self._stores.things
        one, other = stores[table], stores[index]
        # A replay after a restore may come late; then the index alone has what was trimmed.
        read = other.position if self._restored(world) else min(one.position, other.position)
        if read >= trimmed or not self._rules.time_waits:
            aged = self._aged(table, trimmed) << _BITS | self._aged(index, trimmed)
            after.append(("a tick passes", then | aged))
        for what, then, cut in self._changes(world):
            if read >= cut or not self._rules.settings_wait:
                shifted = self._shifted(table, cut) << _BITS | self._shifted(index, cut)
                after.append((what, then | shifted))
        unpacked = State(self._worlds.things[world], (one, other))
        if one.quarantine or other.quarantine:
            after += [(what, self._packed(then)) for what, then in self._rules.redriving(unpacked)]
        if self._rules.bounds.restores:
            after += [(what, self._packed(then)) for what, then in self._rules.operating(unpacked)]
        return after

    def _restored(self, world: int) -> bool:
        return self._worlds.things[world].restores < self._rules.bounds.restores

    def _one_of(self, state: int) -> int:
        """One state for this and its mirror image, if both stores have the same rules."""
        table, index = state >> _BITS & _MASK, state & _MASK
        if index < table and self._rules.stores_are_alike:
            return state ^ (table << _BITS | index) | index << _BITS | table
        return state

    def _broken(self, state: int) -> tuple[str, str] | None:
        """The first thing that is broken in a state, if any."""
        world, table, index = state >> 2 * _BITS, state >> _BITS & _MASK, state & _MASK
        found = self._checked("table", world, table) or self._checked("index", world, index)
        if found is not None:
            return found
        one, other = self._stores.things[table], self._stores.things[index]
        whole = self._worlds.things[world]
        if self._restored(world):
            return self._broken_after_restore(whole, other)
        drained = one.position == other.position == len(whole.stream)
        if not drained or one.quarantine or other.quarantine:
            return None
        fold = _shown(max((event for event, _ in whole.arrivals), default=None))
        shown = [_shown(one.held and one.held.event), _shown(other.held and other.held.event)]
        if shown == [fold, fold]:
            return None
        said = ", ".join(
            f"{name} shows {event or 'nothing'}" for name, event in zip(STORES, shown, strict=True)
        )
        return "I3", f"{said}, the fold of all events is {fold or 'nothing'}"

    def _broken_after_restore(self, world: World, index: Store) -> tuple[str, str] | None:
        """What is broken in both together after a restore: the index still shows the fold."""
        if index.position != len(world.stream) or index.quarantine:
            return None
        fold = max((event for event, _ in world.arrivals), default=None)
        shown = _shown(index.held and index.held.event)
        if shown != _shown(fold):
            return "I3", f"index shows {shown or 'nothing'}, the fold of all events is {fold}"
        return None

    def _checked_of(self, name: StoreName, world: int, store: int) -> tuple[str, str] | None:
        """The first thing that is broken in one store."""
        there = self._worlds.things[world]
        return next(violations(self._rules, name, self._stores.things[store], there), None)

    def _puts_of(self, world: int) -> list[tuple[str, int]]:
        puts = self._rules.puts(self._worlds.things[world])
        return [(what, self._worlds.of(then) << 2 * _BITS) for what, then in puts]

    def _later_of(self, world: int) -> tuple[int, int]:
        now = self._worlds.things[world]
        return self._worlds.of(self._rules.later(now)) << 2 * _BITS, self._rules.trimmed(now)

    def _changes_of(self, world: int) -> list[tuple[str, int, int]]:
        return [
            (what, self._worlds.of(then) << 2 * _BITS, cut)
            for what, then, cut in self._rules.changes(self._worlds.things[world])
        ]

    def _shifted_of(self, store: int, trimmed: int) -> int:
        return self._stores.of(self._rules.shifted(self._stores.things[store], trimmed))

    def _aged_of(self, store: int, trimmed: int) -> int:
        return self._stores.of(self._rules.aged(self._stores.things[store], trimmed))

    def _moves_of(self, name: StoreName, world: int, store: int) -> list[tuple[str, int, int]]:
        there, before = self._worlds.things[world], self._stores.things[store]
        found: dict[tuple[int, int], str] = {}
        for what, after in self._rules.moves(name, before, there):
            refused = after.refuses is not None and after.refuses != before.refuses
            then = there._replace(refusals=there.refusals - refused)
            found.setdefault((self._worlds.of(then) << 2 * _BITS, self._stores.of(after)), what)
        found.pop((world << 2 * _BITS, store), None)  # nothing has changed
        return [(what, *then) for then, what in found.items()]

    def _packed(self, state: State) -> int:
        table, index = map(self._stores.of, state.stores)
        return (self._worlds.of(state.world) << _BITS | table) << _BITS | index

    def _counter_example(self, state: int, came: Mapping[int, int]) -> CounterExample | None:
        """The steps to a state, with the same names of the stores throughout."""
        way = [state]
        while came[way[-1]] != way[-1]:
            way.append(came[way[-1]])
        now = self._packed(self._rules.start)
        steps: list[str] = []
        for one in reversed(way[:-1]):
            what, now = next(step for step in self._steps(now) if self._one_of(step[1]) == one)
            steps.append(what)
        broken = self._broken(now)
        return broken and CounterExample(*broken, tuple(steps))


def search(rules: Rules) -> Found:
    """Visit every state under these rules."""
    return Search(rules).run()


def violations(
    rules: Rules, name: StoreName, store: Store, world: World
) -> Iterator[tuple[str, str]]:
    """What is broken in a store: safety always, the rest once it has read everything."""
    if store.held is not None and store.highest is not None:
        held, highest = store.held.event, store.highest
        if held.version < highest.version:
            back = highest.content == GONE and held.content != GONE
            yield "I4" if back else "I2", f"{name} holds {held}, and held {highest} before"
        elif held != highest:
            yield "I2", f"{name} holds {held}, and held other content of that version, {highest}"
    if store.held is None and store.highest is not None and store.highest.content != GONE:
        yield "I1", f"{name} lost {store.highest}"
    settled = rules.calm(name, store, world).position
    if settled < len(world.stream):
        waiting = ", ".join(str(one.event) for one in world.stream[settled:])
        yield "I7", f"without faults, {name} never settles {waiting}"
    if store.position == len(world.stream):
        quarantined = {one.event for one in store.quarantine}
        last = store.held.event if store.held else store.highest
        # What a restore took from the table comes back only if the stream still has it.
        restored = name == "table" and world.restores < rules.bounds.restores
        owed = {one.event for one in world.stream} if restored else set(dict(world.arrivals))
        for event in sorted(owed):
            if event not in quarantined and not _reflected(event, last):
                there = store.held.event if store.held else "nothing"
                yield (
                    "I1",
                    f"{event} is lost: {name} holds {there}, its quarantine does not have it",
                )


def _reflected(event: Event, held: Event | None) -> bool:
    return held is not None and (held == event or held.version > event.version)


def _shown(event: Event | None) -> Event | None:
    """What a reader sees: an image, or nothing."""
    return None if event is None or event.content == GONE else event
