"""The checkpoints of a local stack, as tests compare them."""

from pathlib import Path

from lockstep.stream.checkpoints import read_mappings


def read_checkpoints(path: Path) -> dict[str, dict[str, str]]:
    """The last settled sequence number by function and shard; each function has one mapping."""
    return {mapping.function: mapping.checkpoints for mapping in read_mappings(path)}
