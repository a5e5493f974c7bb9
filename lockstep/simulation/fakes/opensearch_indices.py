"""The methods of the fake client of OpenSearch for indices, aliases, mappings and settings."""

import fnmatch
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

from lockstep.simulation.fakes.network import AnswerError
from lockstep.simulation.fakes.opensearch_cluster import (
    BAD_REQUEST,
    NOT_FOUND,
    Cluster,
    FakeIndex,
    changed_settings,
    new_settings,
)

_ACKNOWLEDGED = {"acknowledged": True}


def _creation(index: FakeIndex) -> Mapping[str, str]:
    return {"creation_date": str(round(index.created * 1000))}


class Sender(Protocol):
    """Sends the requests of one client."""

    nodes: Cluster

    def send[T](self, apply: Callable[[], T]) -> Any:
        """Send a request, and raise errors as opensearch-py does."""
        ...

    def asked(self, apply: Callable[[], bool]) -> bool:
        """Send a request without a body in its answer."""
        ...


class IndicesClient:
    """`client.indices`."""

    def __init__(self, client: Sender) -> None:
        self._client = client
        self._cluster = client.nodes

    def get(self, *, index: str, params: Mapping[str, Any] | None = None) -> Any:
        """Aliases, mapping and settings of indices."""
        unavailable = (params or {}).get("ignore_unavailable") == "true"
        return self._client.send(
            lambda: {
                one.name: {
                    "aliases": dict(one.aliases),
                    "mappings": one.mappings,
                    "settings": {"index": {**one.settings, **_creation(one)}},
                }
                for one in self._cluster.read(index, unavailable=unavailable)
            }
        )

    def create(
        self,
        *,
        index: str,
        body: Mapping[str, Any] | None = None,
        params: Mapping[str, Any] | None = None,  # noqa: ARG002 - only timeouts
    ) -> Any:
        """Create an index, with its aliases."""
        wanted = body or {}

        def created() -> Any:
            if index in self._cluster.indices:
                raise AnswerError(BAD_REQUEST, "resource_already_exists_exception")
            if any(self._cluster.behind(index)):
                raise AnswerError(BAD_REQUEST, "invalid_index_name_exception")
            settings = new_settings(wanted.get("settings", {}))
            made = self._cluster.add(index, wanted.get("mappings", {}), settings)
            made.aliases = dict(wanted.get("aliases", {}))
            self._cluster.aliases_changed()
            return _ACKNOWLEDGED | {"index": index}

        return self._client.send(created)

    def delete(self, *, index: str, params: Mapping[str, Any] | None = None) -> Any:  # noqa: ARG002 - only timeouts
        """Delete indices. A pattern matches names only, and an alias is refused."""

        def deleted() -> Any:
            if "*" not in index and index not in self._cluster.indices:
                if any(self._cluster.behind(index)):
                    raise AnswerError(BAD_REQUEST, "illegal_argument_exception")
                raise AnswerError(NOT_FOUND, "index_not_found_exception")
            for one in fnmatch.filter(self._cluster.indices, index):
                self._cluster.remove(one)
            return _ACKNOWLEDGED

        return self._client.send(deleted)

    def exists(self, *, index: str) -> bool:
        """Whether there is such an index or alias."""
        return self._client.asked(lambda: bool(self._cluster.read(index, unavailable=True)))

    def exists_alias(self, *, name: str) -> bool:
        """Whether there is such an alias."""
        return self._client.asked(lambda: any(self._cluster.behind(name)))

    def get_alias(self, *, index: str | None = None, name: str | None = None) -> Any:
        """The aliases of indices, or the indices behind an alias."""

        def found() -> Any:
            if name is None:
                return {
                    one.name: {"aliases": dict(one.aliases)}
                    for one in self._cluster.read(index or "*")
                }
            behind = [*self._cluster.behind(name)]
            if not behind:
                raise AnswerError(NOT_FOUND, f"alias [{name}] missing")
            return {one.name: {"aliases": {name: one.aliases[name]}} for one in behind}

        return self._client.send(found)

    def put_alias(self, *, index: str, name: str, body: Mapping[str, Any] | None = None) -> Any:
        """Set an alias of an index."""
        return self.update_aliases(
            body={"actions": [{"add": {"index": index, "alias": name, **(body or {})}}]}
        )

    def delete_alias(self, *, index: str, name: str) -> Any:
        """Remove an alias from an index."""
        return self.update_aliases(body={"actions": [{"remove": {"index": index, "alias": name}}]})

    def update_aliases(
        self,
        *,
        body: Mapping[str, Any],
        params: Mapping[str, Any] | None = None,  # noqa: ARG002 - only timeouts
    ) -> Any:
        """Change aliases: all changes in one step, or none."""
        seen = {one.history: list(one.looked_at) for one in self._cluster.indices.values()}

        def updated() -> Any:
            self._cluster.seen = seen
            try:
                _Changes(self._cluster).apply(body["actions"])
            finally:
                self._cluster.seen = {}
            return _ACKNOWLEDGED

        return self._client.send(updated)

    def get_mapping(self, *, index: str) -> Any:
        """The mapping of indices."""
        return self._client.send(
            lambda: {one.name: {"mappings": one.mappings} for one in self._cluster.read(index)}
        )

    def put_mapping(
        self,
        *,
        index: str,
        body: Mapping[str, Any],
        params: Mapping[str, Any] | None = None,  # noqa: ARG002 - only timeouts
    ) -> Any:
        """Add fields to a mapping, and replace its `_meta`."""

        def put() -> Any:
            for one in self._cluster.read(index):
                one.mappings = _merged(one.mappings, body)
            return _ACKNOWLEDGED

        return self._client.send(put)

    def get_settings(self, *, index: str) -> Any:
        """The settings of indices."""
        return self._client.send(
            lambda: {
                one.name: {"settings": {"index": one.settings}} for one in self._cluster.read(index)
            }
        )

    def put_settings(
        self,
        *,
        index: str,
        body: Mapping[str, Any],
        params: Mapping[str, Any] | None = None,  # noqa: ARG002 - only timeouts
    ) -> Any:
        """Change settings."""

        def put() -> Any:
            for one in self._cluster.read(index):
                one.settings = changed_settings(body, one.settings)
            return _ACKNOWLEDGED

        return self._client.send(put)

    def refresh(self, *, index: str, params: Mapping[str, Any] | None = None) -> Any:  # noqa: ARG002 - only timeouts
        """Show all writes to searches."""

        def refreshed() -> Any:
            indices = self._cluster.read(index)
            for one in indices:
                one.refresh()
            count = sum(one.shards for one in indices)
            return {"_shards": {"total": count, "successful": count, "failed": 0}}

        return self._client.send(refreshed)

    def stats(self, *, index: str, params: Mapping[str, Any]) -> Any:
        """The numbers of the writes to each shard; an index without a node is left out."""
        if params != {"level": "shards"}:
            raise NotImplementedError(params)

        def found() -> Any:
            self._cluster.looked()
            return {
                "indices": {
                    one.name: {"shards": {str(at): _copies(one, at) for at in range(one.shards)}}
                    for one in self._cluster.read(index)
                    if one.answers
                }
            }

        return self._client.send(found)


class ClusterClient:
    """`client.cluster`."""

    def __init__(self, client: Sender) -> None:
        self._client = client

    def health(self, *, index: str, params: Mapping[str, Any] | None = None) -> Any:  # noqa: ARG002 - only timeouts
        """The worst health of indices."""

        def healthy() -> Any:
            found = self._client.nodes.read(index)
            return {"status": "green" if all(one.answers for one in found) else "red"}

        return self._client.send(healthy)


class _Changes:
    """Changes of aliases, made on copies first."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._aliases = {name: dict(one.aliases) for name, one in cluster.indices.items()}

    def apply(self, actions: Iterable[Mapping[str, Any]]) -> None:
        """Make all changes, or raise.

        Raises:
            AnswerError: one of them is not possible.
        """
        for action in actions:
            ((verb, its),) = action.items()
            for index in self._cluster.read(its["index"]):
                self._change(verb, index.name, its)
        for name, aliases in self._aliases.items():
            self._cluster.indices[name].aliases = aliases
        self._cluster.aliases_changed()

    def _change(self, verb: str, index: str, its: Mapping[str, Any]) -> None:
        alias = its["alias"]
        match verb:
            case "remove":
                if self._aliases[index].pop(alias, None) is None:
                    raise AnswerError(NOT_FOUND, "aliases_not_found_exception")
            case "add":
                if alias in self._cluster.indices:
                    raise AnswerError(BAD_REQUEST, "invalid_alias_name_exception")
                how = {name: its[name] for name in its if name not in {"index", "alias"}}
                self._aliases[index][alias] = how
                if sum(self._writes(one, alias) for one in self._aliases) > 1:
                    raise AnswerError(BAD_REQUEST, "illegal_state_exception")
            case _:
                raise NotImplementedError(verb)

    def _writes(self, index: str, alias: str) -> bool:
        return self._aliases[index].get(alias, {}).get("is_write_index") is True


def _merged(there: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """A mapping with more fields."""
    merged = dict(there)
    for name, value in more.items():
        if name in {"properties", "fields"} and name in there:
            merged[name] = dict(there[name])
            for field, its in value.items():
                merged[name][field] = _merged(there[name].get(field, {}), its)
        elif name in {"_meta", "properties", "fields"} or name not in there:
            merged[name] = value
        elif there[name] != value:
            raise AnswerError(BAD_REQUEST, "illegal_argument_exception")
    return merged


def _copies(index: FakeIndex, shard: int) -> list[dict[str, Any]]:
    """The copies of a shard in the statistics: a replica that is behind, and the primary."""
    last = index.looked_at[shard] = index.numbers[shard]
    return [
        {
            "routing": {"primary": primary, "state": "STARTED"},
            "seq_no": {"max_seq_no": number, "global_checkpoint": number},
            "commit": {"user_data": {"history_uuid": f"{index.history}-{shard}"}},
        }
        for primary, number in ((False, max(-1, last - 1)), (True, last))
    ]
