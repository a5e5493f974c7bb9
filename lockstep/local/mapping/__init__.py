"""The event source mapping: Lambda's poller, which cuts a shard into batches and retries them."""
