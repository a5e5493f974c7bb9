"""The replay as a step: it is killed and resumed, and two of them meet."""

from functools import cached_property
from typing import TYPE_CHECKING, cast

from botocore.exceptions import BotoCoreError, ClientError

from doors.quarantine import BucketQuarantine
from lockstep.quarantine.bucket import discarded_key, redriven_key
from lockstep.replay.progress import ProgressFiles, ReplayProgress, UnknownReplayError
from lockstep.replay.replay import ReplayParts, ReplayTarget, UnreadableStreamError
from lockstep.replay.settled import QuarantineOfTheUnsettled
from lockstep.simulation.components import BUCKET, QUARANTINE_SECONDS, STREAM
from lockstep.simulation.fakes.kinesis import AcceptedRecord
from lockstep.simulation.faulty_network import CrashedError
from lockstep.simulation.operators.broken_index import trouble
from lockstep.simulation.operators.promises import Promises
from lockstep.simulation.operators.tools import Surroundings, Tools
from lockstep.simulation.system import Consumer
from lockstep.simulation.violation import ViolationError
from lockstep.stream.kinesis import KinesisStream
from shared.quarantine import INDEX_CONSUMER, TABLE_CONSUMER
from shared.sink import SinkError

if TYPE_CHECKING:
    from types_boto3_kinesis import KinesisClient

_HOUR = 3_600.0
# By heart, from docs/internals/invariants.md: a replay reads no older record.
_LONGEST = 30 * 24 * _HOUR
_RATE = 200.0
_TIMEOUT_SECONDS = 60.0
_MEANWHILE_SECONDS = 1.0
_MOST_REQUESTS = 25
_KILLED_SHARE, _MEANWHILE_SHARE = 0.4, 0.4
_MOST_RUNS = 5
_AGAIN_SHARE = 0.3


class Replays:
    """Runs replays, and checks what they settle."""

    def __init__(self, tools: Tools, promises: Promises, around: Surroundings) -> None:
        """Replay with own tools: what a request of a replay writes later is not of a later command.

        `tools` are those of all other commands.
        """
        self._others = tools
        self._system = tools.system
        self._promises = promises
        self._around = around

    @cached_property
    def _tools(self) -> Tools:
        return Tools(self._system, may_refuse=True)

    def step(self) -> None:
        """Replay since a random moment, sometimes with faults, and while others work."""
        chance = self._system.conditions.chance
        self._tools.begin()
        if chance.random() < _MEANWHILE_SHARE:
            others = (self._around.meanwhile, self._another)
            self._others.interleave(chance.choice(others), _MEANWHILE_SECONDS)
        self.replay(self._since())

    def replay_all(self) -> None:
        """Replay all that a replay may read."""
        self.replay(0.0)

    def replay(self, since: float) -> None:
        """Replay the records that arrived since then; resume it as often as it breaks off.

        Raises:
            ViolationError: O1 is broken, or a record is not settled; or, without faults, the same
                replay at once writes.
        """
        system = self._system
        if trouble(system.index.nodes) == "alias moved":
            return  # it would wait until somebody sets the alias
        began = system.time.now
        there = list(system.stream.accepted)
        with self._promises.kept("O1"):
            ended = self._run(since)
        if not ended:
            return
        self._check_settled(there, max(since, system.time.now - _LONGEST), began)
        if len(system.stream.accepted) > len(there):
            return  # new records, which the same replay would read
        if system.conditions.chance.random() > _AGAIN_SHARE:
            return
        wrote = self._wrote()
        if self._run(since) and self._wrote() > wrote:
            raise ViolationError("O4", "the same replay at once writes")

    def _wrote(self) -> int:
        return len(self._tools.own_in_table) + len(self._tools.own_in_index)

    def _another(self) -> None:
        """Another operator replays at once."""
        self._run(self._since())

    def _run(self, since: float) -> bool:
        """Run a replay to its end; return whether it could."""
        conditions = self._system.conditions
        progress: ReplayProgress | None = ReplayProgress(STREAM, since=round(since * 1000))
        replay_id = self._files.new_id(self._system.time.now)
        conditions.tally["replayed by an operator"] += 1
        self._system.replayed_since.append(since)
        for _ in range(_MOST_RUNS):
            try:
                if progress is None:
                    progress = self._files.read(replay_id)
                if conditions.chance.random() < _KILLED_SHARE:
                    conditions.kill_in = conditions.chance.randint(1, _MOST_REQUESTS)
                self._system.components.replay(self._parts(), progress).apply(replay_id)
            except CrashedError:
                conditions.tally["replay killed"] += 1
            except (BotoCoreError, ClientError, SinkError, UnreadableStreamError):
                conditions.tally["replay broken off"] += 1
            except UnknownReplayError:
                pass  # it saved no progress: the operator begins again
            else:
                return True
            finally:
                conditions.kill_in = None
            saved = f"replays/{replay_id}.json" in self._system.bucket.objects
            progress = None if saved else ReplayProgress(STREAM, since=round(since * 1000))
        return False

    def _since(self) -> float:
        """A random moment: the arrival of a record, or the limit of what a replay reads."""
        system = self._system
        chance = system.conditions.chance
        limit = system.time.now - _LONGEST + (chance.random() - 0.5) * 2 * _HOUR
        arrivals = [one.arrived_at for one in system.stream.accepted]
        return chance.choice((0.0, limit, chance.choice([limit, *arrivals])))

    def _check_settled(self, there: list[AcceptedRecord], since: float, began: float) -> None:
        """O6: what the stream held of these records is settled in both stores."""
        system = self._system
        held = {
            one.sequence_number
            for shard in system.stream.shards.values()
            for one in shard.records[shard.trimmed :]
        }
        for accepted in there:
            if accepted.sequence_number not in held or not since <= accepted.arrived_at <= began:
                continue
            if any(self._was_settled(accepted, one) for one in system.consumers.values()):
                continue
            event = system.ledger.event_in(accepted)
            for consumer in system.consumers.values():
                if event is not None and event.image_id in system.touched[consumer.function]:
                    continue  # an entry that was made by hand may hide any event
                if not system.is_durable(consumer, accepted):
                    raise ViolationError(
                        "O6", f"{consumer.function}: the replay did not settle {accepted}"
                    )

    def _was_settled(self, accepted: AcceptedRecord, consumer: Consumer) -> bool:
        key = self._system.quarantine_key(consumer, accepted)
        return not {redriven_key(key), discarded_key(key)}.isdisjoint(self._system.bucket.objects)

    @cached_property
    def _files(self) -> ProgressFiles:
        return ProgressFiles(self._tools.bucket)

    @cached_property
    def _stream(self) -> KinesisStream:
        return KinesisStream(cast("KinesisClient", self._tools.kinesis), STREAM)

    def _parts(self) -> ReplayParts:
        tools = self._tools

        def quarantine() -> QuarantineOfTheUnsettled:
            bucket = BucketQuarantine(
                tools.bucket_client.put_object, BUCKET, longest_put=QUARANTINE_SECONDS
            )
            return self._system.components.unsettled(bucket, tools.bucket)

        return ReplayParts(
            name=STREAM,
            stream=self._stream,
            region="us-east-1",
            targets=[
                ReplayTarget("table", TABLE_CONSUMER, tools.table_sink, quarantine()),
                ReplayTarget("index", INDEX_CONSUMER, tools.index_sink, quarantine()),
            ],
            files=self._files,
            discarded=lambda: self._system.components.discarded_by_operators(
                tools.bucket, TABLE_CONSUMER
            ),
            clock=tools.clock,
            timeout=_TIMEOUT_SECONDS,
            rate=_RATE,
            on_wait=lambda _: None,
        )
