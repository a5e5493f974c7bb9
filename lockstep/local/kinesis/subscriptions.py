"""Who subscribes to which shard: one connection for each registered consumer and shard.

Only in memory: a restart closes all connections.
"""

from dataclasses import dataclass

# https://docs.aws.amazon.com/kinesis/latest/APIReference/API_SubscribeToShard.html
LIFETIME_MS = 300_000
EXCLUSIVE_MS = 5_000


class SubscribedRecentlyError(Exception):
    """The consumer subscribed to this shard less than `EXCLUSIVE_MS` ago."""


@dataclass(frozen=True, slots=True, eq=False)
class ShardLease:
    """A subscription of a consumer to a shard, by their internal keys; opened in ms since 1970."""

    consumer: int
    shard: int
    opened_at: int


class Subscriptions:
    """The newest subscription of each consumer and shard."""

    def __init__(self) -> None:
        self._leases: dict[tuple[int, int], ShardLease] = {}
        self._stopping = False

    @property
    def stopping(self) -> bool:
        """Whether the endpoint ends."""
        return self._stopping

    def stop(self) -> None:
        """End all subscriptions soon."""
        self._stopping = True

    def take(self, consumer: int, shard: int, now: int) -> ShardLease:
        """Open a subscription; an older one of this consumer to this shard ends.

        Raises:
            SubscribedRecentlyError: the older one is too new.
        """
        self._leases = {
            key: each for key, each in self._leases.items() if now < each.opened_at + LIFETIME_MS
        }
        before = self._leases.get((consumer, shard))
        if before is not None and now < before.opened_at + EXCLUSIVE_MS:
            raise SubscribedRecentlyError
        lease = ShardLease(consumer, shard, now)
        self._leases[consumer, shard] = lease
        return lease

    def is_current(self, lease: ShardLease) -> bool:
        """Whether no newer subscription took over."""
        return self._leases.get((lease.consumer, lease.shard), lease) is lease
