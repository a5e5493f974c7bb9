"""In which order shards are read, so that the records of a key stay in order. Pure."""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet


def startable(parents: Mapping[str, AbstractSet[str]], *, ended: AbstractSet[str]) -> list[str]:
    """The shards that may be read, of those that the stream lists with their parents.

    A child waits until its parents are read to their end, so that the records of a key stay in
    order across a split or merge. A parent that the stream does not list has no records left.
    """
    return [
        shard
        for shard, above in parents.items()
        if shard not in ended and all(parent in ended or parent not in parents for parent in above)
    ]
