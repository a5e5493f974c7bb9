"""The stream and the consumers of a plan: shards, lanes, batches, invocations."""

from collections.abc import Sequence

from lockstep.plan.formulas import Formula

# A batch has the data of its records in base64.
_FITS = "max(1, min({default}, floor(invocation_bytes / (event_bytes * 4 / 3 + frame_bytes))))"

CONSUMERS: Sequence[Formula] = (
    Formula("memory_mib", "memory (ConsumerMemoryMiB)", "MiB", "consumer_memory_mib"),
    Formula(
        "table_batch",
        "table: batch size (TableBatchSize)",
        "",
        _FITS.format(default="default_table_batch"),
    ),
    Formula("table_batching_s", "table: batching window", "s", "table_window_s"),
    Formula(
        "index_batch",
        "index: batch size (IndexBatchSize)",
        "",
        _FITS.format(default="default_index_batch"),
    ),
    Formula("index_batching_s", "index: batching window", "s", "index_window_s"),
    Formula(
        "stretch",
        "how much slower a function is than one vCPU",
        "",
        "vcpu_mib / memory_mib",
        shown=False,
    ),
    Formula(
        "table_record_us",
        "table: processor time for a further record",
        "us",
        "(100 * writer_batch_us - writer_single_us) / 99"
        " * max(1, event_bytes / benchmark_event_bytes)",
        shown=False,
    ),
    Formula(
        "table_fixed_us",
        "table: processor time for an invocation",
        "us",
        "writer_single_us - (100 * writer_batch_us - writer_single_us) / 99",
        shown=False,
    ),
    Formula(
        "index_record_us",
        "index: processor time for a further record",
        "us",
        "(100 * indexer_batch_us - indexer_single_us) / 99"
        " * max(1, event_bytes / benchmark_event_bytes)",
        shown=False,
    ),
    Formula(
        "index_fixed_us",
        "index: processor time for an invocation",
        "us",
        "indexer_single_us - (100 * indexer_batch_us - indexer_single_us) / 99",
        shown=False,
    ),
    Formula(
        "table_full_ms",
        "table: invocation with a full batch",
        "ms",
        "(table_fixed_us + table_batch * table_record_us) / 1000 * stretch"
        " + ceil(table_batch / statements_per_request) * table_answer_ms",
    ),
    Formula(
        "document_answer_ms",
        "index: time of the domain for a document of a request",
        "ms",
        "document_cpu_ms * (1 + replicas) / primaries",
        shown=False,
    ),
    Formula(
        "index_full_ms",
        "index: invocation with a full batch",
        "ms",
        "(index_fixed_us + index_batch * index_record_us) / 1000 * stretch"
        " + index_batch * document_answer_ms",
    ),
    Formula(
        "table_lane_events_per_second",
        "table: most of one lane",
        "events/s",
        "1000 * table_batch / table_full_ms",
        shown=False,
    ),
    Formula(
        "index_lane_events_per_second",
        "index: most of one lane",
        "events/s",
        "1000 * index_batch / index_full_ms",
        shown=False,
    ),
    Formula(
        "shards",
        "shards (ShardCount), or what on-demand mode needs",
        "",
        "ceil(max(peak_events_per_second / shard_events_per_second / (usable_percent / 100),"
        " peak_events_per_second * event_bytes / shard_write_bytes_per_second"
        " / (usable_percent / 100),"
        " (needed_events_per_second + peak_events_per_second) * event_bytes"
        " / shard_read_bytes_per_second / (usable_percent / 100),"
        " needed_events_per_second / most_parallelization"
        " / min(table_lane_events_per_second, index_lane_events_per_second)))",
    ),
    Formula(
        "parallelization",
        "lanes of each shard (ParallelizationFactor)",
        "",
        "min(most_parallelization, ceil(needed_events_per_second / shards"
        " / min(table_lane_events_per_second, index_lane_events_per_second)))",
    ),
    Formula(
        "concurrency",
        "invocations of both consumers at the same time, at most",
        "",
        "2 * shards * parallelization",
    ),
    Formula(
        "consumer_invocations_per_second",
        "invocations of each consumer, at most",
        "1/s",
        "max(mean_events_per_second / min(table_batch, index_batch),"
        " min(mean_events_per_second, shards * parallelization * polls_per_second))",
        shown=False,
    ),
    Formula(
        "batch_events",
        "events of a batch, at the mean",
        "",
        "mean_events_per_second / consumer_invocations_per_second",
        shown=False,
    ),
    Formula(
        "consumer_gb_seconds",
        "work of both consumers in a month",
        "GB-s",
        "consumer_invocations_per_second * 2628000 * memory_mib / 1024 / 1000"
        " * ((table_fixed_us + index_fixed_us + batch_events * (table_record_us + index_record_us))"
        " / 1000 * stretch + ceil(batch_events / statements_per_request) * table_answer_ms"
        " + batch_events * document_answer_ms)",
        shown=False,
    ),
    Formula(
        "search_ms",
        "a search",
        "ms",
        "search_api_us / 1000 * vcpu_mib / search_memory_mib + query_answer_ms",
        shown=False,
    ),
    Formula(
        "search_rate",
        "searches that the stack allows (SearchRatePerSecond)",
        "1/s",
        "max(default_search_rate, ceil(searches_per_second))",
    ),
    Formula(
        "search_concurrency",
        "searches at the same time",
        "",
        "searches_per_second * search_ms / 1000",
        shown=False,
    ),
)
