"""What bounds a plan: its limits, the time to catch up after an outage, and a hot image."""

from collections.abc import Sequence

from lockstep.plan.formulas import Formula

RECOVERY: Sequence[Formula] = (
    Formula(
        "backlog_events",
        "backlog after the outage",
        "events",
        "most_events(events_by_hour, outage_hours)",
    ),
    Formula(
        "read_events_per_second",
        "what the shards give a consumer, beside the other one",
        "events/s",
        "shards * shard_read_bytes_per_second / event_bytes - mean_events_per_second",
        shown=False,
    ),
    Formula(
        "table_drain_events_per_second",
        "table: most events",
        "events/s",
        "min(shards * parallelization * table_lane_events_per_second, read_events_per_second,"
        " min(table_write_units, provisioned_write_units if table_capacity == 'provisioned'"
        " else table_write_units)"
        " / units_per_write)",
    ),
    Formula(
        "domain_events_per_second",
        "index: most events of the domain",
        "events/s",
        "max(0, used_nodes * node_vcpus * 1000 - searches_per_second * query_cpu_ms)"
        " / document_cpu_ms / (1 + replicas)",
        shown=False,
    ),
    Formula(
        "index_drain_events_per_second",
        "index: most events",
        "events/s",
        "min(shards * parallelization * index_lane_events_per_second, read_events_per_second,"
        " domain_events_per_second)",
    ),
    Formula(
        "table_catch_up_s",
        "table: time to catch up",
        "s",
        "catch_up_s(events_by_hour, outage_hours, table_drain_events_per_second)",
    ),
    Formula(
        "index_catch_up_s",
        "index: time to catch up",
        "s",
        "catch_up_s(events_by_hour, outage_hours, index_drain_events_per_second)",
    ),
)

HOT_IMAGE: Sequence[Formula] = (
    Formula(
        "hot_stream_events_per_second",
        "its shard takes",
        "events/s",
        "min(shard_events_per_second, shard_write_bytes_per_second / event_bytes)",
    ),
    Formula(
        "hot_table_events_per_second",
        "its lane of the table takes, one write a batch",
        "events/s",
        "1000 * table_batch / ((table_fixed_us + table_batch * table_record_us) / 1000 * stretch"
        " + table_answer_ms)",
    ),
    Formula(
        "hot_index_events_per_second",
        "its lane of the index takes, one write a batch",
        "events/s",
        "1000 * index_batch / ((index_fixed_us + index_batch * index_record_us) / 1000 * stretch"
        " + document_answer_ms)",
    ),
    Formula(
        "hot_events_per_second",
        "most events of one image without a growing backlog",
        "events/s",
        "min(hot_stream_events_per_second, hot_table_events_per_second,"
        " hot_index_events_per_second)",
    ),
    Formula(
        "hot_table_writes_per_second",
        "writes of the table that remain after folding",
        "1/s",
        "hot_events_per_second / table_batch",
    ),
    Formula(
        "hot_index_writes_per_second",
        "writes of the index that remain after folding",
        "1/s",
        "hot_events_per_second / index_batch",
    ),
)

LIMITS: Sequence[Formula] = (
    Formula(
        "shards_limit",
        "planned shards",
        "events/s",
        "shards * min(shard_events_per_second, shard_write_bytes_per_second / event_bytes)"
        " if stream_mode == 'provisioned' else 'none'",
    ),
    Formula(
        "table_lanes_limit",
        "planned lanes of the table",
        "events/s",
        "shards * parallelization * table_lane_events_per_second"
        " if stream_mode == 'provisioned' else 'none'",
    ),
    Formula(
        "index_lanes_limit",
        "planned lanes of the index",
        "events/s",
        "shards * parallelization * index_lane_events_per_second"
        " if stream_mode == 'provisioned' else 'none'",
    ),
    Formula("domain_limit", "planned domain", "events/s", "domain_events_per_second"),
    Formula(
        "reads_limit",
        "reads of the planned shards",
        "events/s",
        "shards * shard_read_bytes_per_second / event_bytes / 2"
        " if stream_mode == 'provisioned' else 'none'",
    ),
    Formula(
        "table_units_limit",
        "write units of the table: planned, or the quota",
        "events/s",
        "min(table_write_units, provisioned_write_units if table_capacity == 'provisioned'"
        " else table_write_units)"
        " / units_per_write",
    ),
    Formula(
        "template_shards_limit",
        "ShardCount of the template",
        "events/s",
        "most_template_shards"
        " * min(shard_events_per_second, shard_write_bytes_per_second / event_bytes)"
        " if stream_mode == 'provisioned' else 'none'",
    ),
    Formula(
        "account_shards_limit",
        "shards of an account",
        "events/s",
        "account_shards * min(shard_events_per_second, shard_write_bytes_per_second / event_bytes)"
        " if stream_mode == 'provisioned' else 'none'",
    ),
    Formula(
        "on_demand_limit",
        "a stream in on-demand mode",
        "events/s",
        "on_demand_bytes_per_second / event_bytes if stream_mode != 'provisioned' else 'none'",
    ),
    Formula(
        "concurrency_limit",
        "invocations of an account at the same time",
        "events/s",
        "max(0, concurrent_invocations - search_concurrency) / 2"
        " * min(table_lane_events_per_second, index_lane_events_per_second)",
    ),
    Formula(
        "nodes_limit",
        "nodes of a domain, of the planned type",
        "events/s",
        "domain_nodes * node_vcpus * 1000 / document_cpu_ms / (1 + replicas)",
    ),
    Formula(
        "primaries_limit",
        "IndexShards of the template",
        "events/s",
        "most_index_shards / document_cpu_ms * 1000 * usable_percent / 100",
    ),
)
"""At how many events a second each limit is met; `none` if the plan does not meet it at all."""

GROWTH: Sequence[Formula] = (
    Formula(
        "disk_images",
        "images that the planned disks hold",
        "",
        "(node_disk_gib * used_nodes / (1 + replicas) / copies_at_rebuild"
        " * (1 - linux_reserved_share) * (1 - service_reserved_share) * 1073741824"
        " - tombstones * tombstone_document_bytes) / index_bytes_per_image",
    ),
    Formula(
        "growth_images_per_month",
        "images that a month adds",
        "",
        "max(0, (1 - update_share - 2 * deletion_share) * mean_events_per_second * 2628000)",
    ),
    Formula(
        "full_months",
        "months until the planned disks are full",
        "",
        "(disk_images - images) / growth_images_per_month if growth_images_per_month > 0"
        " else 'never'",
    ),
)
