"""The client of a rebuild: it knows what the index refuses, and when it writes its lease."""

from collections.abc import Mapping
from typing import Any

from lockstep.simulation.fakes.opensearch_indices import IndicesClient
from lockstep.simulation.operators.clients import OperatorsIndex, OwnJournal
from lockstep.simulation.operators.tools import Tools


class RebuildIndex(OperatorsIndex):
    """The client of a rebuild.

    What an index refuses, it refuses whoever writes it; but it takes what an operator got into it.
    """

    def __init__(self, tools: Tools, own: OwnJournal) -> None:
        """Use the operator's connection, and note its writes."""
        super().__init__(tools.system, tools.connection("index"))
        self._system = tools.system
        self.own = own
        self.refuses = self._refuses_new
        self.indices = _NotedIndices(self)
        self.is_saving = False
        """Whether it has read a lease, and not written it yet."""

    def _refuses_new(self, source: Mapping[str, Any]) -> bool:
        index = self._system.index
        if not index.refuses(source):
            return False
        held = index.held(source["image_id"])
        return held is None or held.source != source


class _NotedIndices(IndicesClient):
    """Notes when the lease of a rebuild is read and written."""

    def __init__(self, client: RebuildIndex) -> None:
        super().__init__(client)
        self._noted = client

    def get_mapping(self, *, index: str) -> Any:
        """See `IndicesClient.get_mapping`."""
        self._noted.is_saving = True
        return super().get_mapping(index=index)

    def put_mapping(
        self, *, index: str, body: Mapping[str, Any], params: Mapping[str, Any] | None = None
    ) -> Any:
        """See `IndicesClient.put_mapping`."""
        found = super().put_mapping(index=index, body=body, params=params)
        self._noted.is_saving = False
        return found
