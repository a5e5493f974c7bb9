"""SubscribeToShard: the endpoint pushes the records of a shard to a registered consumer."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass

from lockstep.local.kinesis.endpoint import Endpoint, Request, not_found, stop_dry_run
from lockstep.local.kinesis.errors import KinesisError
from lockstep.local.kinesis.event_stream import message
from lockstep.local.kinesis.operations.reading import (
    MAX_GET_RECORDS,
    SUBSCRIPTION,
    continuation,
    page_answer,
    starting_position,
)
from lockstep.local.kinesis.subscriptions import LIFETIME_MS, ShardLease, SubscribedRecentlyError
from lockstep.local.kinesis.wire import Wire
from lockstep.stream.kinesis_file import StoredShard, StoredStream

# The data in one event, at least one record.
MAX_EVENT_BYTES = 1024 * 1024
# How often the endpoint looks for new records, and sends an event that has none.
_LOOK_SECONDS = 0.1
_EMPTY_EVERY_MS = 1_000


def subscribe_to_shard(endpoint: Endpoint, request: Request, wire: Wire) -> "Subscription":
    """SubscribeToShard: valid for five minutes; the answer is a stream of events."""
    stream, consumer = endpoint.consumer_of_arn(request["ConsumerARN"])
    now = endpoint.now()
    if consumer.status(now) != "ACTIVE":
        message_ = f"consumer {consumer.name} is {consumer.status(now)}, not ACTIVE"
        raise KinesisError("ResourceInUseException", message_)
    shard = endpoint.shard(stream, request["ShardId"])
    start = request["StartingPosition"]
    position = starting_position(endpoint, stream, shard, start, SUBSCRIPTION)
    stop_dry_run(request)
    try:
        lease = endpoint.subscriptions.take(consumer.key, shard.key, now)
    except SubscribedRecentlyError:
        message_ = f"consumer {consumer.name} subscribed to this shard less than 5 seconds ago"
        raise KinesisError("ResourceInUseException", message_) from None
    return Subscription(endpoint, wire, stream.key, lease, position)


@dataclass(slots=True)
class Subscription:
    """An open subscription. `stream` is an internal key, `position` that of the next record."""

    endpoint: Endpoint
    wire: Wire
    stream: int
    lease: ShardLease
    position: int

    async def events(self) -> AsyncGenerator[bytes]:
        """The messages of the answer: an initial response, events, and perhaps an exception."""
        yield self._message("initial-response", {})
        bucket = self.endpoint.limits.subscription_bucket(self.lease.opened_at)
        last_sent = 0
        try:
            while not self.endpoint.subscriptions.stopping:
                now = self.endpoint.now()
                stream, shard = self._current(now)
                if now >= self.lease.opened_at + LIFETIME_MS:
                    return
                there = shard.next > self.position or shard.closed_at is not None
                due = now >= last_sent + _EMPTY_EVERY_MS
                if (there or due) and (bucket is None or bucket.available(now) > 0):
                    answer, size, more = self._next(stream, shard, now)
                    if bucket is not None:
                        bucket.spend(size)
                    last_sent = now
                    yield self._message("SubscribeToShardEvent", answer)
                    if "ChildShards" in answer:
                        return
                    if more:
                        continue
                await asyncio.sleep(_LOOK_SECONDS)
        except KinesisError as error:
            headers = {":message-type": "exception", ":exception-type": error.name}
            yield message(headers | self._content(), self.wire.dump({"message": str(error)}))

    def _current(self, now: int) -> tuple[StoredStream, StoredShard]:
        """The stream and the shard as they are now, if the subscription still holds.

        Raises:
            KinesisError: ResourceInUseException, ResourceNotFoundException.
        """
        if not self.endpoint.subscriptions.is_current(self.lease):
            message_ = "a newer call of SubscribeToShard took over this subscription"
            raise KinesisError("ResourceInUseException", message_)
        store = self.endpoint.store
        stream = store.find_stream_of_key(self.stream)
        shard = store.find_shard_of_key(self.lease.shard)
        consumer = store.consumers.find_of_key(self.lease.consumer, now)
        if stream is None or shard is None or consumer is None:
            raise not_found("the consumer, the shard or the stream was deleted")
        return stream, shard

    def _next(
        self, stream: StoredStream, shard: StoredShard, now: int
    ) -> tuple[dict[str, object], int, bool]:
        """The next event, the size of its records, and whether more records are there."""
        page = self.endpoint.store.read(
            shard,
            self.position,
            horizon=stream.horizon(now),
            limit=MAX_GET_RECORDS,
            max_bytes=MAX_EVENT_BYTES,
        )
        self.position = page.next
        answer = page_answer(self.endpoint, stream, shard, page)
        if "ChildShards" not in answer:
            # Kinesis leaves the member out at the end of a shard.
            answer["ContinuationSequenceNumber"] = continuation(self.endpoint, shard, page.next)
        return answer, page.size, page.next < shard.next

    def _message(self, event: str, answer: dict[str, object]) -> bytes:
        headers = {":message-type": "event", ":event-type": event}
        return message(headers | self._content(), self.wire.dump(answer))

    def _content(self) -> dict[str, str]:
        return {":content-type": self.wire.content_type}
