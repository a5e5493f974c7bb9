"""How tests let a local stream lose records: the records get older than the retention."""

import sqlite3
from contextlib import closing
from pathlib import Path

from lockstep.local.kinesis.store import Store
from lockstep.stream.kinesis_file import HOUR_MS


def outlive_retention(database: Path, stream: str, *, now: int) -> None:
    """Make all records in a stream too old, and remove them as the endpoint does.

    The endpoint may run meanwhile.

    Args:
        database: the endpoint's file.
        stream: the name of the stream.
        now: in milliseconds since 1970.
    """
    with Store.open(database) as store:
        found = store.find_stream(stream)
        assert found is not None
        keys = [shard.key for shard in store.shards(found)]
        older = (found.retention_hours + 1) * HOUR_MS
        with closing(sqlite3.connect(database, timeout=30)) as connection, connection:
            for key in keys:
                first, end = key << 40, (key + 1) << 40
                connection.execute(
                    "UPDATE records SET arrived_at = arrived_at - ? WHERE place >= ? AND place < ?",
                    (older, first, end),
                )
        list(store.trim(now))
