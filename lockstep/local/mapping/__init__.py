"""The event source mapping: like Lambda's poller, it cuts a shard into batches and retries them."""
