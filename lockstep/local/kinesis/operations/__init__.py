"""The operations of the Kinesis endpoint: one function for each operation."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from lockstep.local.kinesis.endpoint import Answer, Endpoint, Request
from lockstep.local.kinesis.operations import records, resharding, streams

OPERATIONS: Mapping[str, Callable[[Endpoint, Request], Answer]] = MappingProxyType(
    {
        "AddTagsToStream": streams.add_tags_to_stream,
        "CreateStream": streams.create_stream,
        "DecreaseStreamRetentionPeriod": streams.decrease_stream_retention_period,
        "DeleteStream": streams.delete_stream,
        "DescribeStream": streams.describe_stream,
        "DescribeStreamSummary": streams.describe_stream_summary,
        "GetRecords": records.get_records,
        "GetShardIterator": records.get_shard_iterator,
        "IncreaseStreamRetentionPeriod": streams.increase_stream_retention_period,
        "ListShards": streams.list_shards,
        "ListStreams": streams.list_streams,
        "ListTagsForResource": streams.list_tags_for_resource,
        "ListTagsForStream": streams.list_tags_for_stream,
        "MergeShards": resharding.merge_shards,
        "PutRecord": records.put_record,
        "PutRecords": records.put_records,
        "RemoveTagsFromStream": streams.remove_tags_from_stream,
        "SplitShard": resharding.split_shard,
        "TagResource": streams.tag_resource,
        "UntagResource": streams.untag_resource,
        "UpdateShardCount": resharding.update_shard_count,
    }
)
"""The supported operations; each raises KinesisError if it refuses a request."""
