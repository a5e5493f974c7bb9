"""Streams: creating, describing, listing, retaining and deleting."""

from typing import Any, cast

from lockstep.local.kinesis.endpoint import (
    Answer,
    Endpoint,
    Request,
    check_created,
    invalid,
    milliseconds,
    not_found,
    shard_answer,
)
from lockstep.local.kinesis.errors import KinesisError
from lockstep.local.kinesis.operations.account import check_account_shards, check_on_demand_streams
from lockstep.local.kinesis.operations.tags import check_new_tags
from lockstep.local.kinesis.tokens import ShardPage, StreamPage, seal
from lockstep.local.kinesis.wire import Moment
from lockstep.stream.kinesis_file import Mode, StoredShard, StoredStream
from lockstep.stream.shards import shard_number, uniform

# https://docs.aws.amazon.com/streams/latest/dev/service-sizes-and-limits.html
ON_DEMAND_SHARDS = 4
MAX_SHARDS = 10_000
LEAST_RETENTION_HOURS = 24

# Default and maximum sizes of responses, from the service model's documentation.
_STREAMS_LISTED = 100
_SHARDS_DESCRIBED = 100
_SHARDS_LISTED = 1_000

_DEFAULT_RECORD_KIB = 1024

# ListShards rejects these members together with NextToken, because the token contains them. So does
# AWS, which breaks boto3's paginator: https://github.com/boto/botocore/issues/2009
_NAMED_BY_TOKEN = (
    "StreamName",
    "StreamARN",
    "StreamCreationTimestamp",
    "ExclusiveStartShardId",
    "ShardFilter",
)


def create_stream(endpoint: Endpoint, request: Request) -> Answer:
    """CreateStream: the stream is ACTIVE when this returns."""
    name = request["StreamName"]
    mode = cast("Mode", request.get("StreamModeDetails", {}).get("StreamMode", "PROVISIONED"))
    count = request.get("ShardCount")
    tags = request.get("Tags", {})
    if mode == "ON_DEMAND" and count is not None:
        raise invalid("ShardCount is not allowed for streams in ON_DEMAND mode")
    if mode == "PROVISIONED" and count is None:
        raise invalid("ShardCount is required for streams in PROVISIONED mode")
    if request.get("RecordDistributionStrategy") == "AUTO":
        raise invalid(
            "this endpoint supports only the RecordDistributionStrategy USER_PARTITION_KEY"
        )
    check_new_tags("a stream", tags)
    if count is not None and count > MAX_SHARDS:
        message = f"a stream cannot have more than {MAX_SHARDS} shards; {count} were requested"
        raise KinesisError("LimitExceededException", message)
    check_account_shards(endpoint, count or ON_DEMAND_SHARDS)
    if mode == "ON_DEMAND":
        check_on_demand_streams(endpoint)
    if endpoint.store.find_stream(name) is not None:
        message = f"Stream {name} under account {endpoint.account} already exists."
        raise KinesisError("ResourceInUseException", message)
    endpoint.store.create_stream(
        name,
        uniform(count or ON_DEMAND_SHARDS),
        mode=mode,
        max_record_kib=request.get("MaxRecordSizeInKiB", _DEFAULT_RECORD_KIB),
        tags=tags,
        now=endpoint.now(),
    )
    return None


def delete_stream(endpoint: Endpoint, request: Request) -> Answer:
    """DeleteStream: the stream is deleted when this returns, and its consumers with it."""
    stream = endpoint.stream(request)
    consumers = endpoint.store.consumers.of_stream(stream, endpoint.now())
    if consumers and not request.get("EnforceConsumerDeletion", False):
        message = (
            f"{endpoint.describe(stream)} has {len(consumers)} registered consumers: deregister"
            " them, or use EnforceConsumerDeletion"
        )
        raise KinesisError("ResourceInUseException", message)
    endpoint.store.delete_stream(stream)
    return None


def describe_stream(endpoint: Endpoint, request: Request) -> Answer:
    """DescribeStream: the shards are paged."""
    stream = endpoint.stream(request)
    limit = min(request.get("Limit", _SHARDS_DESCRIBED), _SHARDS_DESCRIBED)
    after = _number_after(request.get("ExclusiveStartShardId"))
    shards = [each for each in _unexpired_shards(endpoint, stream) if each.number > after]
    return {
        "StreamDescription": {
            **_description(endpoint, stream),
            "Shards": [shard_answer(each) for each in shards[:limit]],
            "HasMoreShards": len(shards) > limit,
        }
    }


def describe_stream_summary(endpoint: Endpoint, request: Request) -> Answer:
    """DescribeStreamSummary."""
    stream = endpoint.stream(request)
    return {
        "StreamDescriptionSummary": {
            **_description(endpoint, stream),
            "OpenShardCount": len(endpoint.store.open_shards(stream)),
            "ConsumerCount": len(endpoint.store.consumers.of_stream(stream, endpoint.now())),
            "MaxRecordSizeInKiB": stream.max_record_kib,
        }
    }


def list_streams(endpoint: Endpoint, request: Request) -> Answer:
    """ListStreams: sorted by name; a page starts after a name, or with a token."""
    limit = min(request.get("Limit", _STREAMS_LISTED), _STREAMS_LISTED)
    after = request.get("ExclusiveStartStreamName", "")
    if "NextToken" in request:
        after = endpoint.page(request["NextToken"], StreamPage).after
    found = endpoint.store.list_streams(after=after, limit=limit + 1)
    listed = found[:limit]
    answer: dict[str, Any] = {
        "StreamNames": [each.name for each in listed],
        "HasMoreStreams": len(found) > limit,
        "StreamSummaries": [_identity(endpoint, each) for each in listed],
    }
    if answer["HasMoreStreams"]:
        page = StreamPage(after=listed[-1].name, issued_at=endpoint.now())
        answer["NextToken"] = seal(endpoint.store.secret, page)
    return answer


def list_shards(endpoint: Endpoint, request: Request) -> Answer:
    """ListShards: supports all filters."""
    limit = min(request.get("MaxResults", _SHARDS_LISTED), _SHARDS_LISTED)
    if "NextToken" in request:
        for named in _NAMED_BY_TOKEN:
            if named in request:
                raise invalid(f"NextToken and {named} cannot be provided together.")
        page = endpoint.page(request["NextToken"], ShardPage)
        stream, after, shard_filter = _stream_of(endpoint, page), page.after, page.filter
    else:
        stream, shard_filter = endpoint.stream(request), request.get("ShardFilter")
        after = _number_after(request.get("ExclusiveStartShardId"))
        check_created(endpoint, stream, request)
    found = [
        each for each in _filtered(endpoint, stream, shard_filter or {}) if each.number > after
    ]
    answer: dict[str, Any] = {"Shards": [shard_answer(each) for each in found[:limit]]}
    if len(found) > limit:
        rest = ShardPage(
            stream=stream.key,
            after=found[limit - 1].number,
            filter=shard_filter,
            issued_at=endpoint.now(),
        )
        answer["NextToken"] = seal(endpoint.store.secret, rest)
    return answer


def increase_stream_retention_period(endpoint: Endpoint, request: Request) -> Answer:
    """IncreaseStreamRetentionPeriod: records that are trimmed stay trimmed."""
    stream, hours = endpoint.stream(request), _retention_hours(request)
    if hours < stream.retention_hours:
        raise invalid(
            f"Requested retention period ({hours} hours) for {endpoint.describe(stream)} cannot be"
            f" shorter than the existing one ({stream.retention_hours} hours)."
            " Use DecreaseStreamRetentionPeriod."
        )
    endpoint.store.set_retention(stream, hours, endpoint.now())
    return None


def decrease_stream_retention_period(endpoint: Endpoint, request: Request) -> Answer:
    """DecreaseStreamRetentionPeriod: records before the new horizon are trimmed at once."""
    stream, hours = endpoint.stream(request), _retention_hours(request)
    if hours > stream.retention_hours:
        raise invalid(
            f"Requested retention period ({hours} hours) for {endpoint.describe(stream)} cannot be"
            f" longer than the existing one ({stream.retention_hours} hours)."
            " Use IncreaseStreamRetentionPeriod."
        )
    endpoint.store.set_retention(stream, hours, endpoint.now())
    return None


def _identity(endpoint: Endpoint, stream: StoredStream) -> dict[str, Any]:
    return {
        "StreamName": stream.name,
        "StreamARN": endpoint.arn(stream.name),
        "StreamStatus": "ACTIVE",
        "StreamModeDetails": {"StreamMode": stream.mode},
        "StreamCreationTimestamp": Moment(stream.created_at),
    }


def _description(endpoint: Endpoint, stream: StoredStream) -> dict[str, Any]:
    return {
        **_identity(endpoint, stream),
        "RetentionPeriodHours": stream.retention_hours,
        "EnhancedMonitoring": [{"ShardLevelMetrics": []}],
        **endpoint.encryption_answer(stream),
    }


def _unexpired_shards(endpoint: Endpoint, stream: StoredStream) -> list[StoredShard]:
    horizon = stream.horizon(endpoint.now())
    return [each for each in endpoint.store.shards(stream) if not each.expired(horizon)]


def _filtered(endpoint: Endpoint, stream: StoredStream, shard_filter: Request) -> list[StoredShard]:
    """The shards that a ShardFilter asks for; `FROM_TRIM_HORIZON` is the default."""
    horizon = max(stream.created_at, stream.horizon(endpoint.now()))
    unexpired = _unexpired_shards(endpoint, stream)
    kind = shard_filter.get("Type", "FROM_TRIM_HORIZON")
    for wanted, kinds in (
        ("ShardId", ("AFTER_SHARD_ID",)),
        ("Timestamp", ("AT_TIMESTAMP", "FROM_TIMESTAMP")),
    ):
        if (wanted in shard_filter) != (kind in kinds):
            verb = "needs" if kind in kinds else "takes no"
            raise invalid(f"ShardFilter {kind} {verb} {wanted}")
    match kind:
        case "AFTER_SHARD_ID":
            after = _number_after(shard_filter["ShardId"])
            return [each for each in unexpired if each.number > after]
        case "AT_LATEST":
            return [each for each in unexpired if each.closed_at is None]
        case "AT_TRIM_HORIZON":
            return [each for each in unexpired if _existed_at(each, horizon)]
        case "AT_TIMESTAMP":
            time = milliseconds(shard_filter["Timestamp"])
            return [each for each in unexpired if _existed_at(each, time)]
        case "FROM_TIMESTAMP":
            time = milliseconds(shard_filter["Timestamp"])
            return [each for each in unexpired if not each.expired(time)]
        case _:
            return unexpired


def _existed_at(shard: StoredShard, time: int) -> bool:
    return shard.opened_at <= time and not shard.expired(time)


def _number_after(exclusive_start: str | None) -> int:
    if exclusive_start is None:
        return -1
    number = shard_number(exclusive_start)
    if number is None:
        raise invalid(f"{exclusive_start} is not a shard ID: an example is shardId-000000000000")
    return number


def _retention_hours(request: Request) -> int:
    hours: int = request["RetentionPeriodHours"]
    if hours < LEAST_RETENTION_HOURS:
        raise invalid(
            f"Minimum allowed retention period is {LEAST_RETENTION_HOURS} hours. Requested"
            f" retention period ({hours} hours) is too short."
        )
    return hours


def _stream_of(endpoint: Endpoint, page: ShardPage) -> StoredStream:
    stream = endpoint.store.find_stream_of_key(page.stream)
    if stream is None:
        raise not_found("the stream of this NextToken was deleted")
    return stream
