"""The limits of one shard in a second, throttled as Kinesis does (docs/internals/facts.md)."""

from dataclasses import dataclass
from typing import Protocol

RECORDS_IN = 1_000
BYTES_IN = 1024 * 1024
READS = 5
BYTES_OUT = 2 * 1024 * 1024


class TokenBucket:
    """A token bucket that holds one second of its rate and may be overdrawn once.

    Kinesis treats a read of 10 MiB this way: it succeeds, then reads fail for some seconds.
    """

    def __init__(self, rate: int, now: int) -> None:
        self._rate = rate
        self._tokens = float(rate)
        self._filled_at = now

    def available(self, now: int) -> float:
        """The tokens at a time in milliseconds; negative after an overdraft."""
        elapsed = max(0, now - self._filled_at)
        self._tokens = min(self._rate, self._tokens + self._rate * elapsed / 1000)
        self._filled_at = now
        return self._tokens

    def has(self, amount: int, now: int) -> bool:
        """Whether this amount may be taken; more than a full bucket needs a full bucket."""
        return self.available(now) >= min(amount, self._rate)

    def spend(self, amount: int) -> None:
        """Take tokens, even if there are not enough."""
        self._tokens -= amount


@dataclass(frozen=True, slots=True)
class _ShardBuckets:
    records_in: TokenBucket
    bytes_in: TokenBucket
    reads: TokenBucket
    bytes_out: TokenBucket


class Limits(Protocol):
    """Decides whether a shard admits a write or a read.

    `shard` is the shard's internal key, `now` is in milliseconds since 1970, `size` in bytes.
    """

    def admits_write(self, shard: int, size: int, now: int) -> bool:
        """Whether a record of this size (data and partition key) is admitted; if so, count it."""
        ...

    def admits_read(self, shard: int, now: int) -> bool:
        """Whether a read is admitted; if so, count it."""
        ...

    def count_read(self, shard: int, size: int) -> None:
        """Count the bytes that an admitted read returned."""
        ...

    def subscription_bucket(self, now: int) -> TokenBucket | None:
        """The bytes that a new subscription may receive; None if there is no limit."""
        ...


class Unlimited(Limits):
    """No limits: admits every write and every read."""

    def admits_write(self, shard: int, size: int, now: int) -> bool:  # noqa: ARG002 (the interface)
        """Yes."""
        return True

    def admits_read(self, shard: int, now: int) -> bool:  # noqa: ARG002 (the interface)
        """Yes."""
        return True

    def count_read(self, shard: int, size: int) -> None:
        """Do nothing."""

    def subscription_bucket(self, now: int) -> TokenBucket | None:  # noqa: ARG002 (the interface)
        """No limit."""
        return None


class PerShard(Limits):
    """1,000 records and 1 MiB in, 5 reads and 2 MiB out, per shard and second.

    The counts are in memory: a restart resets them.
    """

    def __init__(self) -> None:
        self._shards: dict[int, _ShardBuckets] = {}

    def admits_write(self, shard: int, size: int, now: int) -> bool:
        """Whether the shard is below both its limit of records and its limit of bytes."""
        buckets = self._buckets(shard, now)
        if not (buckets.records_in.has(1, now) and buckets.bytes_in.has(size, now)):
            return False
        buckets.records_in.spend(1)
        buckets.bytes_in.spend(size)
        return True

    def admits_read(self, shard: int, now: int) -> bool:
        """Whether the shard is below its limit of reads and its bytes are not overdrawn."""
        buckets = self._buckets(shard, now)
        if buckets.bytes_out.available(now) <= 0 or not buckets.reads.has(1, now):
            return False
        buckets.reads.spend(1)
        return True

    def count_read(self, shard: int, size: int) -> None:
        """Count the bytes of a read; a large read blocks the reads of the next seconds."""
        self._shards[shard].bytes_out.spend(size)

    def subscription_bucket(self, now: int) -> TokenBucket | None:
        """2 MiB per second for each subscription, which other reads do not share."""
        return TokenBucket(BYTES_OUT, now)

    def _buckets(self, shard: int, now: int) -> _ShardBuckets:
        if shard not in self._shards:
            self._shards[shard] = _ShardBuckets(
                TokenBucket(RECORDS_IN, now),
                TokenBucket(BYTES_IN, now),
                TokenBucket(READS, now),
                TokenBucket(BYTES_OUT, now),
            )
        return self._shards[shard]
