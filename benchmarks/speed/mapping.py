"""The local event source mapping, without the stream and the function: from records to payloads."""

from collections.abc import Callable

from lockstep.local.mapping.batch import payload
from lockstep.local.mapping.core import Shard
from lockstep.local.mapping.invocation import EventSource, entry, function_arn, stream_arn
from lockstep.local.mapping.response import Returned
from lockstep.local.mapping.settings import Settings
from lockstep.local.mapping.steps import Advance, Finished, Invoke, Read
from lockstep.stream.stream import StreamRecord
from shared.event import Event, encode

_REGION = "us-east-1"
_SOURCE = EventSource(
    stream_arn=stream_arn("lockstep-images", _REGION),
    shard_id="shardId-000000000000",
    region=_REGION,
    function_arn=function_arn("measured", _REGION),
    role_arn="arn:aws:iam::000000000000:role/measured",
)
_DONE = Returned(b'{"batchItemFailures":[]}')
_NOW = 1_795_248_007.0


def through(events: list[Event]) -> Callable[[], object]:
    """Take the events of one shard through the mapping, until its checkpoint is the last one."""
    records = [
        StreamRecord(f"{number:056d}", one.image_id, encode(one), round(_NOW * 1000))
        for number, one in enumerate(events)
    ]

    def work() -> None:
        shard = Shard(Settings(), retention=24 * 60 * 60.0, chance=lambda: 0.5)
        begun, sent, checkpoint = 0, 0, None
        while True:
            match shard.next(_NOW):
                case Read(limit):
                    read = records[begun : begun + limit]
                    begun += len(read)
                    behind = begun < len(records)
                    entries = [entry(one, _SOURCE) for one in read]
                    shard.records_read(entries, behind=behind, ended=not behind, now=_NOW)
                case Invoke(batch):
                    sent += len(payload(batch))
                    shard.invocation_ended(_DONE, request_id="1", now=_NOW)
                case Advance(number):
                    checkpoint = number
                    shard.checkpoint_saved()
                case Finished():
                    break
                case step:
                    raise AssertionError(step)
        if checkpoint != records[-1].sequence_number or sent < sum(
            len(one.data) for one in records
        ):
            raise AssertionError(checkpoint)

    return work
