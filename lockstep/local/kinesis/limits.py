"""The limits of one shard in a second, throttled as Kinesis does (docs/internals/facts.md)."""

from dataclasses import dataclass
from typing import Protocol

RECORDS_IN = 1_000
BYTES_IN = 1024 * 1024
READS = 5
BYTES_OUT = 2 * 1024 * 1024


class TokenBucket:
    """A token bucket that holds one second of its rate and may be overdrawn once.

    Overdrawing is how Kinesis treats a read of 10 MiB: it succeeds, then the next seconds fail.
    """

    def __init__(self, rate: int, now: int) -> None:
        self._rate = rate
        self._tokens = float(rate)
        self._filled_at = now

    def available(self, now: int) -> float:
        """Tokens at a time in milliseconds; below zero while a debt is paid off."""
        elapsed = max(0, now - self._filled_at)
        self._tokens = min(self._rate, self._tokens + self._rate * elapsed / 1000)
        self._filled_at = now
        return self._tokens

    def has(self, amount: int, now: int) -> bool:
        """Whether that much may be taken: all of it, or the full bucket if it is larger."""
        return self.available(now) >= min(amount, self._rate)

    def spend(self, amount: int) -> None:
        """Take tokens, whether there are enough or not."""
        self._tokens -= amount


@dataclass(frozen=True, slots=True)
class _ShardBuckets:
    records_in: TokenBucket
    bytes_in: TokenBucket
    reads: TokenBucket
    bytes_out: TokenBucket


class Limits(Protocol):
    """What decides about a write or a read of a shard.

    `shard` is the store's key of a shard, `now` milliseconds since 1970, `size` bytes.
    """

    def admits_write(self, shard: int, size: int, now: int) -> bool:
        """Whether a record of that size (data and partition key) fits; if so it is counted."""
        ...

    def admits_read(self, shard: int, now: int) -> bool:
        """Whether a read may begin; if so it is counted."""
        ...

    def count_read(self, shard: int, size: int) -> None:
        """What an admitted read gave."""
        ...


class Unlimited(Limits):
    """No limits: every write and every read is admitted."""

    def admits_write(self, shard: int, size: int, now: int) -> bool:  # noqa: ARG002 (the interface)
        """Yes."""
        return True

    def admits_read(self, shard: int, now: int) -> bool:  # noqa: ARG002 (the interface)
        """Yes."""
        return True

    def count_read(self, shard: int, size: int) -> None:
        """Nothing to count."""


class PerShard(Limits):
    """1,000 records and 1 MiB in, 5 reads and 2 MiB out, per shard and second.

    Kept in memory: a restart forgives.
    """

    def __init__(self) -> None:
        self._shards: dict[int, _ShardBuckets] = {}

    def admits_write(self, shard: int, size: int, now: int) -> bool:
        """Whether both the records and the bytes of this second leave room."""
        buckets = self._buckets(shard, now)
        if not (buckets.records_in.has(1, now) and buckets.bytes_in.has(size, now)):
            return False
        buckets.records_in.spend(1)
        buckets.bytes_in.spend(size)
        return True

    def admits_read(self, shard: int, now: int) -> bool:
        """Whether this second has a read left, and no earlier answer is still being paid off."""
        buckets = self._buckets(shard, now)
        if buckets.bytes_out.available(now) <= 0 or not buckets.reads.has(1, now):
            return False
        buckets.reads.spend(1)
        return True

    def count_read(self, shard: int, size: int) -> None:
        """Charge the answer of a read; a large one is paid off by the seconds that follow."""
        self._shards[shard].bytes_out.spend(size)

    def _buckets(self, shard: int, now: int) -> _ShardBuckets:
        if shard not in self._shards:
            self._shards[shard] = _ShardBuckets(
                TokenBucket(RECORDS_IN, now),
                TokenBucket(BYTES_IN, now),
                TokenBucket(READS, now),
                TokenBucket(BYTES_OUT, now),
            )
        return self._shards[shard]
