"""Events that arrive, are redriven and are read again at the limits of age, or close to them."""

from collections.abc import Callable, Sequence
from typing import Literal

from lockstep.simulation.events import as_json, draw_image, event_of
from lockstep.simulation.interpretation import (
    CONDEMNED_BY_TABLE,
    REFUSED_BY_INDEX,
    REFUSED_BY_TABLE,
)
from lockstep.simulation.operators.tools import Surroundings
from lockstep.simulation.oracle import Meaning, time_of
from lockstep.simulation.system import System

HOUR = 3_600.0
DAY = 24 * HOUR
# By heart, from docs/internals/invariants.md, Deletions.
QUARANTINE_AGE, LONGEST_RETENTION, HORIZON = 90 * DAY, 30 * DAY, 121 * DAY
_HELD_BACK = (QUARANTINE_AGE, QUARANTINE_AGE, HORIZON)
# A stream that keeps records for longer is warned about.
_RETENTIONS = (LONGEST_RETENTION, LONGEST_RETENTION, 365 * DAY)

type Kind = Literal["valid", "wrong key", "refused"]

# The version of an event with a count; its deletion has the next.
_COUNT = 5
_REFUSED: Sequence[str] = (REFUSED_BY_TABLE, REFUSED_BY_TABLE, CONDEMNED_BY_TABLE, REFUSED_BY_INDEX)


class OldEvents:
    """Puts one event and a deletion of its image, and lets them become old.

    Each story uses an image of its own, whose versions are stamps or counts.
    """

    def __init__(self, system: System, around: Surroundings, replay: Callable[[], None]) -> None:
        """Act on this system; `replay` replays all that a replay may read."""
        self._system = system
        self._replay = replay
        self._around = around
        self._conditions, self._time = system.conditions, system.time
        self._stories = 0
        self._key = ""

    def step(self) -> None:
        """Tell one story, while the stream keeps records for 30 days or longer."""
        self._stories += 1
        story = self._conditions.chance.choice(
            (self._replayed_at_the_limit, self._redriven_twice, self._held_back, self._at_random)
        )
        self._around.drain()
        stream = self._system.stream
        usual = stream.retention
        stream.retention = self._conditions.chance.choice(_RETENTIONS)
        story(f"A{self._stories}")
        self._around.drain()
        stream.retention = usual
        stream.trim_expired()

    def _replayed_at_the_limit(self, image_id: str) -> None:
        """An event is redriven when it is 90 days old, and read again 30 days later."""
        self._conditions.tally["old event redriven, and read again"] += 1
        event = self._event(image_id, counts=self._coin(), kind=self._poison())
        first_arrival = self._time.now
        self._put_and_delete(event)
        self._pass_until(first_arrival + QUARANTINE_AGE)
        self._redrive(refuses=False)
        self._around.drain()
        self._pass_until(self._time.now + LONGEST_RETENTION)
        self._read_again()

    def _redriven_twice(self, image_id: str) -> None:
        """A redriven event is refused again, and redriven once more when its deletion is gone."""
        self._conditions.tally["old event redriven twice"] += 1
        # The stamp of an event would tell its age, a count does not.
        counts = self._conditions.chance.random() < 0.8  # noqa: PLR2004 - mostly
        event = self._event(image_id, counts=counts, kind="refused")
        self._put_and_delete(event)
        for refuses in (True, False):
            self._pass_until(self._time.now + (QUARANTINE_AGE + self._between(-20, 0) * DAY))
            self._redrive(refuses=refuses)
            self._around.drain()

    def _held_back(self, image_id: str) -> None:
        """An event arrives long after its deletion, and is perhaps redriven after that."""
        self._conditions.tally["old event held back by its producer"] += 1
        event = self._event(image_id, counts=False, kind=self._any_kind())
        self._time.advance(self._conditions.chance.random() * HOUR)
        self._put(self._deletion(event))
        self._around.drain()
        set_at = event.version / 1_000_000
        self._pass_until(set_at + self._conditions.chance.choice(_HELD_BACK))
        self._around.purge()
        self._put(event)
        if self._time.now - set_at > QUARANTINE_AGE:
            self._system.may_return.add((image_id, event.version))
        self._around.drain()
        self._pass_until(self._time.now + self._between(30, 90) * DAY)
        self._redrive(refuses=False)

    def _at_random(self, image_id: str) -> None:
        """Two or three days far apart, each with a redrive or a second reading."""
        self._conditions.tally["old event at random moments"] += 1
        event = self._event(image_id, counts=self._coin(), kind=self._any_kind())
        self._put_and_delete(event)
        for _ in range(self._conditions.chance.randint(2, 3)):
            self._pass_until(self._time.now + self._between(0, 130) * DAY)
            if self._coin():
                self._redrive(refuses=self._coin())
            else:
                self._read_again()
            self._around.drain()

    def _event(self, image_id: str, *, counts: bool, kind: Kind) -> Meaning:
        now_us = int(self._time.now * 1_000_000)
        self._key = f"{image_id}-not" if kind == "wrong key" else image_id
        if kind == "refused":
            self._system.stores_refuse = True
        name = self._conditions.chance.choice(_REFUSED) if kind == "refused" else "old"
        version = _COUNT if counts else now_us
        image = draw_image(self._conditions.chance, name)
        return Meaning(image_id, version, "image.updated", time_of(now_us), image)

    def _deletion(self, event: Meaning) -> Meaning:
        """The deletion of the same image, a little later."""
        now_us = int(self._time.now * 1_000_000)
        version = event.version + 1
        if event.version != _COUNT:
            version = max(version, now_us)
        return Meaning(event.image_id, version, "image.deleted", time_of(now_us), None)

    def _put_and_delete(self, event: Meaning) -> None:
        """Put the event, and the deletion; mostly the consumers see the event first."""
        self._put(event)
        if self._conditions.chance.random() < 0.8:  # noqa: PLR2004 - mostly
            self._around.drain()
        self._time.advance(self._conditions.chance.random() * HOUR)
        self._put(self._deletion(event))
        self._around.drain()

    def _put(self, event: Meaning) -> None:
        """Put an event as another program does."""
        data = as_json(self._conditions.chance, event_of(event))
        self._system.ledger.note(data, event)
        key = event.image_id if event.image is None else self._key
        self._system.stream.accept(key, data)

    def _redrive(self, *, refuses: bool) -> None:
        self._around.purge()
        self._around.resume()
        if refuses:
            self._system.stores_refuse = True
        else:
            self._system.accept_all()
        self._around.redrive()

    def _read_again(self) -> None:
        self._around.purge()
        self._around.resume()
        if self._system.stream.retention > LONGEST_RETENTION or self._coin():
            self._replay()  # of a stream that keeps records for too long, nobody may read all again
        else:
            self._around.rewind()

    def _pass_until(self, moment: float) -> None:
        """Let time pass until this moment, or an hour before it or after it at most."""
        until = moment + (self._conditions.chance.random() - 0.5) * 2 * HOUR
        self._time.advance(max(0.0, until - self._time.now))

    def _between(self, least: float, most: float) -> float:
        return least + self._conditions.chance.random() * (most - least)

    def _coin(self) -> bool:
        return self._conditions.chance.random() < 0.5  # noqa: PLR2004 - a coin

    def _poison(self) -> Kind:
        return self._conditions.chance.choice(("wrong key", "refused"))

    def _any_kind(self) -> Kind:
        return self._conditions.chance.choice(("valid", "wrong key", "refused"))
