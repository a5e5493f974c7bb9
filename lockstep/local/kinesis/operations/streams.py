"""Streams: creating, describing, listing, retaining, deleting, and their tags."""

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

from lockstep.local.kinesis.endpoint import (
    Answer,
    Endpoint,
    Request,
    invalid,
    milliseconds,
    not_found,
    shard_answer,
)
from lockstep.local.kinesis.errors import KinesisError
from lockstep.local.kinesis.tokens import (
    ExpiredTokenError,
    InvalidTokenError,
    ShardPage,
    StreamPage,
    seal,
    unseal,
)
from lockstep.stream.kinesis_file import Mode, StoredShard, StoredStream
from lockstep.stream.shards import shard_number, uniform

# https://docs.aws.amazon.com/streams/latest/dev/service-sizes-and-limits.html
ON_DEMAND_SHARDS = 4
MAX_SHARDS = 10_000
MAX_STREAM_TAGS = 50
LEAST_RETENTION_HOURS = 24
# Besides letters, digits and white space. As recorded: the documentation allows `%` as well.
_TAG_SIGNS = "_./=+-@"
_RESERVED_TAG_PREFIX = "aws:"

# Default and maximum sizes of responses, from the service model's documentation.
_STREAMS_LISTED = 100
_SHARDS_DESCRIBED = 100
_SHARDS_LISTED = 1_000
_TAGS_LISTED = 50

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
    if len(tags) > MAX_STREAM_TAGS:
        raise invalid(f"a stream cannot have more than {MAX_STREAM_TAGS} tags")
    _check_tags(tags)
    if count is not None and count > MAX_SHARDS:
        message = f"a stream cannot have more than {MAX_SHARDS} shards; {count} were requested"
        raise KinesisError("LimitExceededException", message)
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
    """DeleteStream: the stream is deleted when this returns."""
    endpoint.store.delete_stream(endpoint.stream(request))
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
            "ConsumerCount": 0,
            "MaxRecordSizeInKiB": stream.max_record_kib,
        }
    }


def list_streams(endpoint: Endpoint, request: Request) -> Answer:
    """ListStreams: sorted by name; a page starts after a name, or with a token."""
    limit = min(request.get("Limit", _STREAMS_LISTED), _STREAMS_LISTED)
    after = request.get("ExclusiveStartStreamName", "")
    if "NextToken" in request:
        after = _page(endpoint, request["NextToken"], StreamPage).after
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
        page = _page(endpoint, request["NextToken"], ShardPage)
        stream, after, shard_filter = _stream_of(endpoint, page), page.after, page.filter
    else:
        stream, shard_filter = endpoint.stream(request), request.get("ShardFilter")
        after = _number_after(request.get("ExclusiveStartShardId"))
        created = request.get("StreamCreationTimestamp")
        if created is not None and milliseconds(created) != stream.created_at:
            raise not_found(f"{endpoint.describe(stream)} was not created at {created}")
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


def add_tags_to_stream(endpoint: Endpoint, request: Request) -> Answer:
    """AddTagsToStream."""
    _add_tags(endpoint, endpoint.stream(request), request["Tags"])
    return None


def remove_tags_from_stream(endpoint: Endpoint, request: Request) -> Answer:
    """RemoveTagsFromStream."""
    _remove_tags(endpoint, endpoint.stream(request), request["TagKeys"])
    return None


def list_tags_for_stream(endpoint: Endpoint, request: Request) -> Answer:
    """ListTagsForStream: sorted by key."""
    limit = request.get("Limit", _TAGS_LISTED)
    after = request.get("ExclusiveStartTagKey", "")
    tags = endpoint.store.tags(endpoint.stream(request))
    found = [{"Key": key, "Value": value} for key, value in tags.items() if key > after]
    return {"Tags": found[:limit], "HasMoreTags": len(found) > limit}


def tag_resource(endpoint: Endpoint, request: Request) -> Answer:
    """TagResource, for a stream."""
    _add_tags(endpoint, endpoint.stream_of_arn(request["ResourceARN"]), request["Tags"])
    return None


def untag_resource(endpoint: Endpoint, request: Request) -> Answer:
    """UntagResource, for a stream."""
    _remove_tags(endpoint, endpoint.stream_of_arn(request["ResourceARN"]), request["TagKeys"])
    return None


def list_tags_for_resource(endpoint: Endpoint, request: Request) -> Answer:
    """ListTagsForResource, for a stream."""
    tags = endpoint.store.tags(endpoint.stream_of_arn(request["ResourceARN"]))
    return {"Tags": [{"Key": key, "Value": value} for key, value in tags.items()]}


def _identity(endpoint: Endpoint, stream: StoredStream) -> dict[str, Any]:
    return {
        "StreamName": stream.name,
        "StreamARN": endpoint.arn(stream.name),
        "StreamStatus": "ACTIVE",
        "StreamModeDetails": {"StreamMode": stream.mode},
        "StreamCreationTimestamp": stream.created_at / 1000,
    }


def _description(endpoint: Endpoint, stream: StoredStream) -> dict[str, Any]:
    return {
        **_identity(endpoint, stream),
        "RetentionPeriodHours": stream.retention_hours,
        "EnhancedMonitoring": [{"ShardLevelMetrics": []}],
        "EncryptionType": "NONE",
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


def _add_tags(endpoint: Endpoint, stream: StoredStream, tags: dict[str, str]) -> None:
    if len(endpoint.store.tags(stream) | tags) > MAX_STREAM_TAGS:
        raise invalid(f"{endpoint.describe(stream)} cannot have more than {MAX_STREAM_TAGS} tags")
    _check_tags(tags)
    endpoint.store.put_tags(stream, tags)


def _remove_tags(endpoint: Endpoint, stream: StoredStream, keys: Sequence[str]) -> None:
    _check_tag_keys(keys)
    endpoint.store.remove_tags(stream, keys)


def _check_tags(tags: Mapping[str, str]) -> None:
    _check_tag_keys(tags)
    for value in tags.values():
        _check_tag_characters(value)


def _check_tag_keys(keys: Iterable[str]) -> None:
    for key in keys:
        if key.lower().startswith(_RESERVED_TAG_PREFIX):
            raise invalid(f"tag key {key!r} begins with {_RESERVED_TAG_PREFIX}, which is reserved")
        _check_tag_characters(key)


def _check_tag_characters(text: str) -> None:
    if not all(map(_may_be_in_tag, text)):
        raise invalid(
            f"Some tags contain invalid characters: {text!r}. Valid characters: Unicode letters,"
            f" digits, white space, {' '.join(_TAG_SIGNS)}"
        )


def _may_be_in_tag(character: str) -> bool:
    """Whether it is a letter, a digit, a space (no tab or newline), or one of the signs."""
    return character in _TAG_SIGNS or unicodedata.category(character)[0] in "LNZ"


def _stream_of(endpoint: Endpoint, page: ShardPage) -> StoredStream:
    stream = endpoint.store.find_stream_of_key(page.stream)
    if stream is None:
        raise not_found("the stream of this NextToken was deleted")
    return stream


def _page[T: (ShardPage, StreamPage)](endpoint: Endpoint, token: str, kind: type[T]) -> T:
    try:
        return unseal(endpoint.store.secret, token, kind, endpoint.now())
    except InvalidTokenError:
        raise invalid("Invalid NextToken.") from None
    except ExpiredTokenError as error:
        raise KinesisError("ExpiredNextTokenException", f"NextToken expired: {error}") from None
