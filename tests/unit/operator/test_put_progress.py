"""The progress of `lockstep put`: how much of the file is read, also of a compressed one."""

import gzip
import os
import random
from pathlib import Path

from lockstep.commands.put import read_of, size_of
from lockstep.source_files.records import records


def test_the_total_is_the_size_of_the_file_also_of_a_compressed_one(tmp_path: Path) -> None:
    path = tmp_path / "events.ndjson.gz"
    lines = [
        b'{"n": "%s"}\n' % random.Random(at).randbytes(40).hex().encode() for at in range(50_000)
    ]
    path.write_bytes(gzip.compress(b"".join(lines)))
    with path.open("rb") as file:
        size = size_of(file)
        assert (size, read_of(file)) == (path.stat().st_size, 0)
        found = records(file, path.name).found
        next(iter(found))
        begun = read_of(file)
        assert len(list(found)) == 49_999
        assert 0 < begun < read_of(file) == size


def test_a_pipe_has_no_total() -> None:
    reads, writes = os.pipe()
    os.close(writes)
    with os.fdopen(reads, "rb") as file:
        assert size_of(file) is None
