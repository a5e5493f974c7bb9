"""The quotas of the account, and how much of them is used."""

from lockstep.local.kinesis.endpoint import Answer, Endpoint, Request
from lockstep.local.kinesis.errors import KinesisError

# The defaults in us-east-1:
# https://docs.aws.amazon.com/streams/latest/dev/service-sizes-and-limits.html
MAX_ACCOUNT_SHARDS = 20_000
MAX_ON_DEMAND_STREAMS = 50


def describe_limits(endpoint: Endpoint, _request: Request) -> Answer:
    """DescribeLimits."""
    return {
        "ShardLimit": MAX_ACCOUNT_SHARDS,
        "OpenShardCount": endpoint.store.open_shard_count(),
        "OnDemandStreamCount": endpoint.store.on_demand_stream_count(),
        "OnDemandStreamCountLimit": MAX_ON_DEMAND_STREAMS,
    }


def check_account_shards(endpoint: Endpoint, more: int) -> None:
    """Check that the account may have so many more open shards.

    Raises:
        KinesisError: LimitExceededException.
    """
    count = endpoint.store.open_shard_count() + more
    if count > MAX_ACCOUNT_SHARDS:
        message = (
            f"account {endpoint.account} cannot have more than {MAX_ACCOUNT_SHARDS} open shards;"
            f" it would have {count}"
        )
        raise KinesisError("LimitExceededException", message)


def check_on_demand_streams(endpoint: Endpoint) -> None:
    """Check that the account may have one more stream in on-demand mode.

    Raises:
        KinesisError: LimitExceededException.
    """
    if endpoint.store.on_demand_stream_count() >= MAX_ON_DEMAND_STREAMS:
        message = (
            f"account {endpoint.account} cannot have more than {MAX_ON_DEMAND_STREAMS} streams in"
            " ON_DEMAND mode"
        )
        raise KinesisError("LimitExceededException", message)
