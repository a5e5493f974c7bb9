"""The settings of the index that each stack chooses: shards, replicas and refresh interval."""

from collections.abc import Mapping
from typing import Any

import msgspec

# As many replicas as fit: none on one node, one on several
# (https://docs.opensearch.org/latest/install-and-configure/configuring-opensearch/index-settings/).
AS_MANY_AS_FIT = "auto"
_FITTING = "0-1"
_NEVER = "false"


class IndexSettings(msgspec.Struct, frozen=True):
    """What a stack chooses for its index, as its parameters say it.

    With None, an existing index keeps its own setting, and OpenSearch decides about a new one: it
    may wait for the first search before it refreshes.

    `shards`: the number of primary shards; only a new index can get another number. `replicas`: a
    number, or `AS_MANY_AS_FIT`. `refresh_interval`: for example `1s`.
    """

    shards: int | None = None
    replicas: str | None = None
    refresh_interval: str | None = None

    def of_new_index(self) -> Mapping[str, str]:
        """These settings, for the request that creates an index."""
        chosen = self._changeable()
        if self.shards is not None:
            chosen["number_of_shards"] = str(self.shards)
        return chosen

    def changes(self, its: Mapping[str, Any]) -> Mapping[str, str]:
        """The settings that an existing index must get. Its number of shards stays.

        Args:
            its: the index, as OpenSearch returns it.
        """
        there = {"auto_expand_replicas": _NEVER, **its["settings"]["index"]}
        wanted = self._changeable()
        return {name: value for name, value in wanted.items() if there.get(name) != value}

    def other_shards(self, its: Mapping[str, Any]) -> str | None:
        """How the number of shards of an existing index differs; None if it does not.

        Args:
            its: the index, as OpenSearch returns it.
        """
        found = int(its["settings"]["index"]["number_of_shards"])
        if self.shards in {None, found}:
            return None
        noun = "shard" if found == 1 else "shards"
        return f"it has {found} {noun}, and the stack wants {self.shards}"

    def _changeable(self) -> dict[str, str]:
        """The settings that an existing index can get, too."""
        chosen: dict[str, str] = {}
        if self.replicas == AS_MANY_AS_FIT:
            chosen["auto_expand_replicas"] = _FITTING
        elif self.replicas is not None:
            chosen |= {"auto_expand_replicas": _NEVER, "number_of_replicas": self.replicas}
        if self.refresh_interval is not None:
            chosen["refresh_interval"] = self.refresh_interval
        return chosen
