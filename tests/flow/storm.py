"""A storm: processes of a local stack are killed by chance, from one seed, while events flow."""

import random
import signal
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress

import msgspec
import psutil

from lockstep.local.supervisor import DEATHS, DEATHS_WITHIN_SECONDS
from lockstep.machine.processes import identify
from lockstep.producing.producer import GaveUpError, Producer, Stamp
from lockstep.stack.clients import Clients
from lockstep.stack.stack import Stack, StackNotFoundError, read_local
from lockstep.stores.entry import Entry
from lockstep.stores.index import IndexReader
from lockstep.stores.table import TableReader
from shared.event import Event, EventType, Image, digest
from shared.stamps import time_of
from tests.flow.background import Background
from tests.flow.shell import Shell

VICTIMS = (
    "kinesis",
    "dynamodb",
    "opensearch",
    "s3",
    "write_to_dynamodb",
    "write_to_es",
    "worker",
    "supervisor",
)
TYPES: Sequence[EventType] = ("image.uploaded", "image.updated", "image.updated", "image.deleted")
IMAGES = 200
EVENTS_AT_ONCE = 20
# A brisk flow, which leaves the processors to the stack.
EVENTS_A_SECOND = 100
# From a kill in the middle of the last one's repair to one in calm.
LONGEST_PAUSE_SECONDS = 4.0
# A worker starts with its next batch, an engine on a busy machine takes its time.
PATIENCE_SECONDS = 120.0
# Of a thousand kills, those before a failure tell something.
LAST = 20


class Held(msgspec.Struct, frozen=True):
    """What is to be known of an image: its version, and its content's digest unless deleted."""

    version: int
    digest: str | None


def in_table(stack: Stack, prefix: str) -> Mapping[str, Held]:
    """What the table holds of the images whose ids start so."""
    return _held(TableReader(Clients(stack).dynamodb, stack.table).scan(), prefix)


def in_index(stack: Stack, prefix: str) -> Mapping[str, Held]:
    """What the index holds of them."""
    return _held(IndexReader(Clients(stack).opensearch, stack.index).scan(), prefix)


def _held(entries: Iterator[Entry], prefix: str) -> Mapping[str, Held]:
    ours = [one for one in entries if one.image_id.startswith(prefix)]
    assert [one.malformed for one in ours if one.malformed] == []
    return {one.image_id: Held(one.version, one.digest) for one in ours}


class Flow(Background):
    """Puts events, as long as it is let, and remembers what the stream acknowledged.

    So many a second at most; `rate` is how many there were, since the machine may be busy.
    """

    def __init__(
        self,
        shell: Shell,
        prefix: str,
        chance: random.Random,
        *,
        events_a_second: float = EVENTS_A_SECOND,
    ) -> None:
        super().__init__("flow")
        self._pause = EVENTS_AT_ONCE / events_a_second
        self.acknowledged: dict[str, Held] = {}
        self.events = 0
        self.rate = 0.0
        self._shell = shell
        self._prefix = prefix
        self._chance = chance
        self._stamp = Stamp()
        self._producer: Producer | None = None

    def work(self) -> None:
        began = time.monotonic()
        while not self.enough.is_set():
            next_at = time.monotonic() + self._pause
            self._put([self._event() for _ in range(EVENTS_AT_ONCE)])
            time.sleep(max(0.0, next_at - time.monotonic()))
        self.rate = self.events / (time.monotonic() - began)

    def _put(self, events: Sequence[Event]) -> None:
        """Put these whatever happens; the stream may come back at another address."""
        left = events
        deadline = time.monotonic() + 2 * PATIENCE_SECONDS
        while left:
            try:
                self._producer = self._producer or self._connected()
                self._producer.put(left)
            except (GaveUpError, StackNotFoundError) as error:
                if time.monotonic() > deadline:
                    raise
                left = error.not_put if isinstance(error, GaveUpError) else left
                self._producer = None
                time.sleep(0.1)
            else:
                left = ()
        for event in events:
            content = digest(event.image) if isinstance(event.image, Image) else None
            self.acknowledged[event.image_id] = Held(event.version, content)
        self.events += len(events)

    def _connected(self) -> Producer:
        stack = read_local(self._shell.state)
        return Producer(Clients(stack).kinesis, stack.stream, patience=2.0)

    def _event(self) -> Event:
        kind, version = self._chance.choice(TYPES), self._stamp()
        image_id = f"{self._prefix}{self._chance.randrange(IMAGES)}"
        image = msgspec.UNSET if kind == "image.deleted" else Image(f"{image_id} at {version}")
        return Event(kind, image_id, version, time_of(version), image)


class Storm:
    """Kills what it draws, each kind once and then any; the supervisor is started again."""

    def __init__(self, shell: Shell, *, seed: int) -> None:
        self.kills: list[str] = []
        self._shell = shell
        self._seed = seed
        self._prefix = f"storm-{seed}-"
        self._chance = random.Random(seed)
        self._flow = Flow(shell, self._prefix, random.Random(seed))
        self._when: dict[str, list[float]] = {victim: [] for victim in VICTIMS}

    def __str__(self) -> str:
        times = ", ".join(f"{name} {count}" for name, count in Counter(self.kills).items())
        return (
            f"{len(self.kills)} kills (--kills-seed {self._seed}): {times}; {self._flow.events} "
            f"events acknowledged of {len(self.acknowledged)} images; the last ones: "
            f"{' '.join(self.kills[-LAST:])}"
        )

    @property
    def acknowledged(self) -> Mapping[str, Held]:
        """The highest version of each image that the stream acknowledged."""
        return self._flow.acknowledged

    def rage(self, kills: int) -> None:
        """Kill that often while events flow; then the flow ends."""
        self._flow.start()
        try:
            bag = self._chance.sample(VICTIMS, len(VICTIMS))
            for _ in range(kills):
                time.sleep(self._chance.uniform(0, LONGEST_PAUSE_SECONDS))
                self._kill(bag.pop() if bag else self._draw())
        finally:
            self._flow.finish()

    def in_table(self) -> Mapping[str, Held]:
        """What the table holds of this storm's images."""
        return in_table(read_local(self._shell.state), self._prefix)

    def in_index(self) -> Mapping[str, Held]:
        """What the index holds of them."""
        return in_index(read_local(self._shell.state), self._prefix)

    def set_aside(self) -> set[str]:
        """Whatever lies in quarantine, or was given up by a mapping."""
        stack = read_local(self._shell.state)
        answer = Clients(stack).s3.list_objects_v2(Bucket=stack.bucket)
        assert not answer["IsTruncated"]
        return {one["Key"] for one in answer.get("Contents", [])}

    def _draw(self) -> str:
        """Any that the supervisor will start again: one that dies too often it gives up."""
        now = time.monotonic()
        spared = {
            victim
            for victim, when in self._when.items()
            if victim != "supervisor"
            and sum(now - moment <= DEATHS_WITHIN_SECONDS for moment in when) >= DEATHS - 2
        }
        return self._chance.choice([one for one in VICTIMS if one not in spared])

    def _kill(self, victim: str) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not self._killed(victim):
            assert time.monotonic() < deadline, f"no {victim} in {PATIENCE_SECONDS:.0f} s"
            time.sleep(0.05)
        self.kills.append(victim)
        self._when[victim].append(time.monotonic())
        if victim == "supervisor":
            self._shell.up()

    def _killed(self, victim: str) -> bool:
        """Kill it, if it is there, and wait until it is gone."""
        process = self._shell.processes().get(victim)
        if process is None:
            return False
        with suppress(psutil.NoSuchProcess):  # it ended by itself, just now
            one = identify(process.pid)
            process.send_signal(signal.SIGKILL)
            deadline = time.monotonic() + PATIENCE_SECONDS
            # Of a worker that nobody needs its pool hears late: a zombie has ended.
            while one.process() is not None:
                assert time.monotonic() < deadline, f"{victim} outlives SIGKILL"
                time.sleep(0.01)
            return True
        return False
