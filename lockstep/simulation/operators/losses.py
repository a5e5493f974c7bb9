"""Losses: a consumer is off until the stream removes what it has not read."""

import datetime as dt
from collections.abc import Mapping, Sequence

from lockstep.audit.acknowledgements import write_acknowledgement
from lockstep.simulation.fakes.kinesis import AcceptedRecord
from lockstep.simulation.faults import Fault
from lockstep.simulation.interpretation import Poison
from lockstep.simulation.operators.audits import Audits
from lockstep.simulation.operators.tools import Surroundings, Tools
from lockstep.simulation.poller import Poller
from lockstep.simulation.system import Function
from lockstep.simulation.violation import ViolationError
from lockstep.stream.losses import StoppedConsumer

_DAY = 86_400.0
_OFF: Sequence[frozenset[Function]] = (
    frozenset({"write_to_dynamodb", "write_to_es"}),
    frozenset({"write_to_dynamodb", "write_to_es"}),
    frozenset({"write_to_dynamodb"}),
    frozenset({"write_to_es"}),
)
_IMAGES, _MOST_EVENTS = 3, 4
_ACKNOWLEDGED_SHARE = 0.7
_FAULTS: Mapping[str, Fault] = {
    "write_to_dynamodb": "records lost by the table's consumer",
    "write_to_es": "records lost by the index's consumer",
}


class Losses:
    """Lets the consumers of one system lose records, and an operator deal with that."""

    def __init__(self, tools: Tools, audits: Audits, around: Surroundings) -> None:
        """Act on this system, and audit it."""
        self._tools = tools
        self._system = tools.system
        self._audits = audits
        self._around = around

    def step(self) -> None:
        """Some consumers are off for longer than the shortest retention; then they read on.

        Not if the index reads another stream, and not if a consumer has two mappings: either may
        have read what the other one lost.
        """
        chance = self._system.conditions.chance
        functions = chance.choice(_OFF)
        off = [one for one in self._around.pollers if one.function in functions]
        if not self._around.reads_events or len({one.function for one in off}) < len(off):
            return
        if chance.random() < 0.5:  # noqa: PLR2004 - else they are behind already
            self._around.drain()
        for _ in range(chance.choice((1, 1, 2))):
            self._lose(off)
            self._audit()
            self._read_on(off)
            self._audit()
            if chance.random() < _ACKNOWLEDGED_SHARE and self._system.losses.open:
                self._acknowledge()
                self._audit()
        self._around.resume()

    def _lose(self, off: Sequence[Poller]) -> None:
        """Turn these mappings off, and let the stream remove what they have not read.

        The others read everything in time. Some records are young enough to stay.
        """
        system, stream, time = self._system, self._system.stream, self._system.time
        since = dt.datetime.fromtimestamp(time.now, dt.UTC)
        for one in off:
            one.turn_off()
        system.losses.stopped = tuple(
            StoppedConsumer(one.function, "Disabled", since) for one in off
        )
        if system.conditions.chance.random() < 0.3:  # noqa: PLR2004 - nothing is lost so far
            self._audit()
        self._put_some()
        self._around.drain()
        usual, stream.retention = stream.retention, _DAY
        time.advance(_DAY * (1.0 + system.conditions.chance.random()))
        self._put_some()
        self._around.drain()
        stream.trim_expired()
        stream.retention = usual
        for poller in off:
            poller.note_gaps()
            for accepted in poller.unread_and_gone():
                self._note(poller.function, accepted)

    def _read_on(self, off: Sequence[Poller]) -> None:
        """Turn the mappings on again: they note what they cannot read any more."""
        self._system.losses.stopped = ()
        for one in off:
            one.turn_on()
        self._around.drain()
        for one in off:
            one.note_gaps()
        self._system.losses.check_noted()

    def _note(self, function: str, accepted: AcceptedRecord) -> None:
        """Note, for the checks, what this consumer cannot read any more."""
        system = self._system
        if system.losses.is_lost(function, accepted):
            return  # nothing was read in its shard since
        event = system.interpret(accepted)
        image_id = None if isinstance(event, Poison) else event.image_id
        system.losses.lose(function, accepted, image_id)
        system.conditions.tally[_FAULTS[function]] += 1

    def _put_some(self) -> None:
        """Put some events, also deletions."""
        chance = self._system.conditions.chance
        for _ in range(chance.randint(1, _MOST_EVENTS)):
            put = chance.choice((self._around.put, self._around.put, self._around.delete))
            put(f"T{chance.randrange(_IMAGES)}")

    def _audit(self) -> None:
        faulty = self._tools.begin()
        whole = self._system.conditions.chance.random() < 0.5  # noqa: PLR2004 - a coin
        self._audits.audit(whole=whole, faulty=faulty)

    def _acknowledge(self) -> None:
        """Sometimes the producer puts the lost images again; then an operator acknowledges."""
        system = self._system
        if system.conditions.chance.random() < 0.5:  # noqa: PLR2004 - a coin
            for image_id in sorted(system.losses.images):
                self._around.put(image_id)
        self._tools.begin(faulty=False)
        found = self._audits.unread()
        if found.since is None:
            raise ViolationError("O3", f"lost is {system.losses.open}, and no loss is known")
        now = dt.datetime.fromtimestamp(system.time.now, dt.UTC)
        made = system.components.acknowledgement_of(found, found.since, "put again", now=now)
        write_acknowledgement(self._tools.bucket, made)
        system.losses.acknowledge()
        system.conditions.tally["losses acknowledged"] += 1
