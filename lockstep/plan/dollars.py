"""What a plan costs a month of 730 hours (2,628,000 seconds), by item. A GB is 10^9 bytes."""

from collections.abc import Sequence

from lockstep.plan.formulas import Formula

STREAM: Sequence[Formula] = (
    Formula(
        "long_retention_dollars",
        "events beyond 7 days",
        "dollars",
        "mean_events_per_second * event_bytes * 86400 * max(0, retention_days - 7) / 1000000000"
        " * long_retention_gb_month_dollars",
        shown=False,
    ),
    Formula(
        "provisioned_stream_dollars",
        "provisioned: stream of a month",
        "dollars",
        "shards * 730 * (shard_hour_dollars + extended_shard_hour_dollars)"
        " + mean_events_per_second * 2628000 * ceil(event_bytes / put_unit_bytes) / 1000000"
        " * put_unit_million_dollars + long_retention_dollars",
    ),
    Formula(
        "on_demand_gb",
        "on demand: data of a month",
        "GB",
        "mean_events_per_second * 2628000 * ceil(event_bytes / on_demand_unit_bytes)"
        " * on_demand_unit_bytes / 1000000000",
        shown=False,
    ),
    Formula(
        "on_demand_stream_dollars",
        "on demand: stream of a month",
        "dollars",
        "730 * on_demand_stream_hour_dollars"
        " + on_demand_gb * (on_demand_gb_in_dollars + 2 * on_demand_gb_out_dollars)"
        " + on_demand_gb * 24 / 730 * (min(retention_days, 7) - 1)"
        " * on_demand_extended_gb_month_dollars + long_retention_dollars",
    ),
    Formula(
        "stream_mode",
        "mode of the stream (on-demand: ShardCount=0)",
        "",
        "'on-demand' if on_demand_stream_dollars < provisioned_stream_dollars else 'provisioned'",
    ),
)

ITEMS: Sequence[Formula] = (
    Formula(
        "stream_dollars",
        "stream",
        "dollars",
        "min(on_demand_stream_dollars, provisioned_stream_dollars)",
    ),
    Formula(
        "consumers_dollars",
        "consumers",
        "dollars",
        "2 * consumer_invocations_per_second * 2628000 / 1000000 * invocation_million_dollars"
        " + consumer_gb_seconds * gb_second_dollars",
    ),
    Formula(
        "units_dollars",
        "table: units",
        "dollars",
        "min(on_demand_units_dollars, provisioned_units_dollars)",
    ),
    Formula(
        "table_storage_dollars",
        "table: storage",
        "dollars",
        "table_gb * table_gb_month_dollars",
    ),
    Formula("nodes_dollars", "domain: nodes", "dollars", "nodes * 730 * node_hour_dollars"),
    Formula(
        "disks_dollars",
        "domain: disks",
        "dollars",
        "nodes * node_disk_gib * 1.073741824 * disk_gb_month_dollars",
    ),
    Formula(
        "search_dollars",
        "search: API and function",
        "dollars",
        "searches_per_second * 2628000 * ((api_million_dollars + invocation_million_dollars)"
        " / 1000000 + search_ms / 1000 * search_memory_mib / 1024 * gb_second_dollars)",
    ),
    Formula(
        "audit_dollars",
        "nightly audit: function and bucket",
        "dollars",
        "730 / 24 * (audit_s * audit_memory_mib / 1024 * gb_second_dollars"
        " + ceil(entries / 1000000) * audit_writes_per_million_images / 1000 * put_thousand_dollars"
        " + audit_reads_per_million_images * entries / 1000000 * entries / 1000000 / 1000"
        " * get_thousand_dollars)"
        " + entries * audit_bytes_per_image / 1000000000 * bucket_gb_month_dollars",
    ),
    Formula(
        "log_gb",
        "logs of a month",
        "GB",
        "2 * consumer_invocations_per_second * 2628000 * log_line_bytes / 1000000000",
        shown=False,
    ),
    Formula(
        "logs_dollars",
        "logs",
        "dollars",
        "log_gb * (log_gb_dollars + log_retention_days * 24 / 730 * log_gb_month_dollars)",
    ),
    Formula(
        "metrics_dollars",
        "metrics and dashboard",
        "dollars",
        "(2 * consumer_metrics + watcher_metrics + audit_metrics) * metric_month_dollars"
        " + dashboard_month_dollars",
    ),
    Formula("alarms_dollars", "alarms", "dollars", "alarms_month_dollars"),
    Formula(
        "month_dollars",
        "sum",
        "dollars",
        "stream_dollars + consumers_dollars + units_dollars + table_storage_dollars"
        " + nodes_dollars + disks_dollars + search_dollars + audit_dollars + logs_dollars"
        " + metrics_dollars + alarms_dollars",
    ),
)
