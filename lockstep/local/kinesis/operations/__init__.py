"""The operations of the Kinesis endpoint: one function for each operation."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from lockstep.local.kinesis.endpoint import Answer, Endpoint, Request
from lockstep.local.kinesis.operations import (
    account,
    consumers,
    reading,
    records,
    resharding,
    settings,
    streams,
    tags,
)

OPERATIONS: Mapping[str, Callable[[Endpoint, Request], Answer]] = MappingProxyType(
    {
        "AddTagsToStream": tags.add_tags_to_stream,
        "CreateStream": streams.create_stream,
        "DecreaseStreamRetentionPeriod": streams.decrease_stream_retention_period,
        "DeleteStream": streams.delete_stream,
        "DeregisterStreamConsumer": consumers.deregister_stream_consumer,
        "DescribeLimits": account.describe_limits,
        "DescribeStream": streams.describe_stream,
        "DescribeStreamConsumer": consumers.describe_stream_consumer,
        "DescribeStreamSummary": streams.describe_stream_summary,
        "GetRecords": reading.get_records,
        "GetShardIterator": reading.get_shard_iterator,
        "IncreaseStreamRetentionPeriod": streams.increase_stream_retention_period,
        "ListShards": streams.list_shards,
        "ListStreamConsumers": consumers.list_stream_consumers,
        "ListStreams": streams.list_streams,
        "ListTagsForResource": tags.list_tags_for_resource,
        "ListTagsForStream": tags.list_tags_for_stream,
        "MergeShards": resharding.merge_shards,
        "PutRecord": records.put_record,
        "PutRecords": records.put_records,
        "RegisterStreamConsumer": consumers.register_stream_consumer,
        "RemoveTagsFromStream": tags.remove_tags_from_stream,
        "SplitShard": resharding.split_shard,
        "StartStreamEncryption": settings.start_stream_encryption,
        "StopStreamEncryption": settings.stop_stream_encryption,
        "TagResource": tags.tag_resource,
        "UntagResource": tags.untag_resource,
        "UpdateShardCount": resharding.update_shard_count,
        "UpdateStreamMode": settings.update_stream_mode,
    }
)
"""The operations with one answer; each raises KinesisError if it refuses a request."""

SUBSCRIBE = "SubscribeToShard"
"""The operation that answers with events: `operations.subscribing`."""
