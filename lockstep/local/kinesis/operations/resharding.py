"""Operations that reshard a stream. It is ACTIVE again when they return."""

from lockstep.local.kinesis.endpoint import Answer, Endpoint, Request, invalid
from lockstep.local.kinesis.errors import KinesisError
from lockstep.local.kinesis.operations.account import check_account_shards
from lockstep.local.kinesis.operations.streams import MAX_SHARDS
from lockstep.stream.kinesis_file import StoredShard, StoredStream
from lockstep.stream.shards import Merge, Split, uniform_scaling


def split_shard(endpoint: Endpoint, request: Request) -> Answer:
    """SplitShard."""
    stream = _provisioned(endpoint, request)
    shard = _open_shard(endpoint, stream, request["ShardToSplit"])
    at = int(request["NewStartingHashKey"])
    # Kinesis allows no part with only one key, so both bounds are narrower than a split needs.
    if not shard.range.start + 1 < at < shard.range.end:
        raise invalid(
            f"NewStartingHashKey {at} used in SplitShard on shard {request['ShardToSplit']} in"
            f" {endpoint.describe(stream)} is not both greater than one plus the shard's"
            f" StartingHashKey {shard.range.start} and less than its EndingHashKey"
            f" {shard.range.end}."
        )
    _check_count(endpoint, len(endpoint.store.open_shards(stream)), 1)
    endpoint.store.reshard(stream, [Split(shard.range, at)], endpoint.now())
    return None


def merge_shards(endpoint: Endpoint, request: Request) -> Answer:
    """MergeShards: the first shard has the lower hash keys."""
    stream = _provisioned(endpoint, request)
    low, high = [
        _open_shard(endpoint, stream, request[name]).range
        for name in ("ShardToMerge", "AdjacentShardToMerge")
    ]
    if low.end + 1 != high.start:
        raise invalid(
            f"Shards {request['ShardToMerge']} and {request['AdjacentShardToMerge']} in"
            f" {endpoint.describe(stream)} are not an adjacent pair of shards eligible for merging"
        )
    endpoint.store.reshard(stream, [Merge(low, high)], endpoint.now())
    return None


def update_shard_count(endpoint: Endpoint, request: Request) -> Answer:
    """UpdateShardCount: all shards then have the same size."""
    stream = _provisioned(endpoint, request)
    target: int = request["TargetShardCount"]
    ranges = [shard.range for shard in endpoint.store.open_shards(stream)]
    current = len(ranges)
    if target > 2 * current:
        raise invalid(
            "UpdateShardCount cannot scale up over double your current open shard count."
            f" Current open shard count: {current} Target shard count: {target}"
        )
    if 2 * target < current:
        raise invalid(
            "UpdateShardCount cannot scale down below half your current open shard count."
            f" Current open shard count: {current} Target shard count: {target}"
        )
    _check_count(endpoint, current, target - current)
    endpoint.store.reshard(stream, list(uniform_scaling(ranges, target)), endpoint.now())
    return {
        "StreamName": stream.name,
        "StreamARN": endpoint.arn(stream.name),
        "CurrentShardCount": current,
        "TargetShardCount": target,
    }


def _provisioned(endpoint: Endpoint, request: Request) -> StoredStream:
    stream = endpoint.stream(request)
    if stream.mode == "ON_DEMAND":
        message = f"Request is invalid. {endpoint.describe(stream)} is in On-Demand mode."
        raise KinesisError("ValidationException", message)
    return stream


def _open_shard(endpoint: Endpoint, stream: StoredStream, identifier: str) -> StoredShard:
    shard = endpoint.shard(stream, identifier)
    if shard.closed_at is not None:
        raise invalid(f"Shard {identifier} in {endpoint.describe(stream)} is closed")
    return shard


def _check_count(endpoint: Endpoint, current: int, more: int) -> None:
    if current + more > MAX_SHARDS:
        message = f"a stream cannot have more than {MAX_SHARDS} shards"
        raise KinesisError("LimitExceededException", message)
    check_account_shards(endpoint, more)
