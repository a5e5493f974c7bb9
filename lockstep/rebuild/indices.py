"""The indices behind a stack's aliases: reads their state, and creates, switches and deletes them.

The whole state of a rebuild is in the cluster: in the aliases, and in the new index's mapping under
`_meta.rebuild`. So any machine can resume a rebuild.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any, TypeGuard

import msgspec
from opensearchpy import OpenSearch
from opensearchpy.exceptions import NotFoundError, RequestError

from functions.write_to_es.aliases import (
    LIVE_FILTER,
    alias_definitions,
    check_aliases,
    live_alias,
    read_aliased,
)
from functions.write_to_es.connect import sink_errors
from functions.write_to_es.index import PATIENCE, definition, index_differences
from functions.write_to_es.settings import IndexSettings
from lockstep.console.errors import UserError
from lockstep.rebuild.shards import ShardMark, Shards
from lockstep.rebuild.worker import RebuildWorker
from shared.sink import MisconfiguredError, RequestFailedError

# Settings that an operator may have changed on the old index; the others are in mapping.json.
_OPERATOR_SETTINGS = (
    "number_of_shards",
    "number_of_replicas",
    "auto_expand_replicas",
    "refresh_interval",
    "gc_deletes",
)
_ONLY_BY_REBUILD = frozenset({"number_of_shards"})
# With these settings, an index that has no readers is filled twice as fast.
_WHILE_FILLING = {"refresh_interval": "-1", "number_of_replicas": "0"}
_RESTORED_AFTER_FILLING = ("refresh_interval", "number_of_replicas", "auto_expand_replicas")
# From worst to best: a new index must become as healthy as the old one before the switch.
_HEALTH = ("red", "yellow", "green")


class RebuildState(msgspec.Struct, frozen=True, omit_defaults=True):
    """The progress of a rebuild, saved in the mapping of the index that it builds.

    `replaces` is the old index, None if there was none. `worker` runs the rebuild, and `beat`
    changes while it does.
    `source` is what the index is filled from first, `position` is where filling continues, and
    `filled` says that it is complete. `followed`: the old index is copied up to the mark of each
    shard. `done`: the check after the switch is complete.
    """

    replaces: str | None
    worker: RebuildWorker
    beat: int = 0
    source: str = ""
    position: str | None = None
    filled: bool = False
    followed: Mapping[str, ShardMark] = {}
    done: bool = False


class StackIndices(msgspec.Struct, frozen=True):
    """The indices of a stack, and the states of their rebuilds.

    `live`: the index that the consumers write to; None if there is none. `problems`: what is wrong
    with the aliases. `numbered`: all indices that are named by alias and number, each with the
    state of its rebuild, if it has one. `created`: when each of them was created, in seconds since
    1970. `next`: the name of the next one. `kept`: the existing indices that the live one has
    replaced, the latest first. `differences`: how the live index differs from this release's
    definition, and from what the stack wants.
    """

    live: str | None
    problems: tuple[str, ...]
    numbered: Mapping[str, RebuildState | None]
    created: Mapping[str, float]
    next: str
    kept: tuple[str, ...]
    differences: tuple[str, ...]

    @property
    def live_state(self) -> RebuildState | None:
        """The state of the rebuild that built the live index, if one did."""
        return None if self.live is None else self.numbered.get(self.live)

    def ignored(self, index: str) -> tuple[str, ...]:
        """Indices other than this one that no alias of the stack names."""
        return tuple(name for name in self.numbered if name not in {index, self.live})

    @property
    def unfinished(self) -> tuple[str, ...]:
        """Indices whose rebuild did not end and that are not live."""
        return tuple(
            name
            for name, state in self.numbered.items()
            if state is not None and not state.done and name != self.live
        )


class AnotherRebuildError(UserError):
    """Another worker runs this rebuild."""


class Indices:
    """The indices behind a stack's aliases."""

    def __init__(
        self,
        client: OpenSearch,
        alias: str,
        settings: IndexSettings = IndexSettings(),  # noqa: B008 - frozen
    ) -> None:
        """Make it.

        Args:
            client: the client of the index.
            alias: the alias for writing.
            settings: what the stack chooses for its index.
        """
        self._client = client
        self._alias = alias
        self._settings = settings

    @property
    def building(self) -> str:
        """The alias through which an index is filled, so that a write cannot create an index."""
        return f"{self._alias}-rebuild"

    def read(self) -> StackIndices:
        """The indices as they are now.

        Raises:
            MisconfiguredError: an alias must be corrected by hand first.
            RequestFailedError: they could not be read now; a retry may succeed.
        """
        with sink_errors(self._alias):
            aliased = read_aliased(self._client, self._alias)
            found = self._client.indices.get(index=f"{self._alias}-*")
        check = check_aliases(self._alias, aliased)
        for problem in check.by_hand:
            raise MisconfiguredError(f"{problem}, then run this again")
        pattern = re.compile(rf"{re.escape(self._alias)}-(\d{{6,}})")
        numbers = {name: int(its[1]) for name in found if (its := pattern.fullmatch(name))}
        states = {name: _state_in(name, found[name]) for name in sorted(numbers)}
        live = check.written
        its_state = None if live is None else _state_in(live, aliased[live])
        differences = () if live is None else self._differences(aliased[live])
        return StackIndices(
            live=live,
            problems=check.problems,
            numbered=states,
            created={name: _creation_of(found[name]) for name in numbers},
            next=f"{self._alias}-{max(numbers.values(), default=0) + 1:06d}",
            kept=tuple(self._replaced(its_state, states)),
            differences=tuple(differences),
        )

    def exists(self, index: str | None) -> TypeGuard[str]:
        """Whether there is such an index."""
        if index is None:
            return False
        with sink_errors(self._alias):
            return bool(self._client.indices.exists(index=index))

    def create(self, index: str, state: RebuildState) -> None:
        """Create an empty index by this release's definition, with the old one's settings.

        It can be filled when `open` has pointed the alias `building` at it.

        Raises:
            AnotherRebuildError: it exists already.
        """
        settings = (
            definition()["settings"] | self._operator_settings(state.replaces) | _WHILE_FILLING
        )
        settings.pop("auto_expand_replicas", None)
        body = {"settings": settings, "mappings": definition()["mappings"] | _as_meta(state)}
        with sink_errors(self._alias):
            try:
                self._client.indices.create(index=index, body=body, params=PATIENCE)
            except RequestError as error:
                if error.error == "resource_already_exists_exception":
                    message = (
                        f"{index} was just created by another rebuild or by a deployment: run this "
                        "again"
                    )
                    raise AnotherRebuildError(message) from error
                raise

    def state(self, index: str) -> RebuildState:
        """The state of an index's rebuild."""
        with sink_errors(self._alias):
            found = self._client.indices.get_mapping(index=index)
        state = _state_in(index, found[index])
        if state is None:
            message = f"{index} was not created by a rebuild"
            raise AnotherRebuildError(message)
        return state

    def save_state(self, index: str, state: RebuildState) -> None:
        """Save the state of an index's rebuild."""
        with sink_errors(self._alias):
            self._client.indices.put_mapping(index=index, body=_as_meta(state), params=PATIENCE)

    def differences(self, index: str) -> tuple[str, ...]:
        """How an index differs from this release's definition, and from what the stack wants."""
        with sink_errors(self._alias):
            found = self._client.indices.get(index=index)
        return tuple(self._differences(found[index]))

    def refresh(self, index: str) -> None:
        """Make all writes visible to searches."""
        with sink_errors(self._alias):
            self._client.indices.refresh(index=index, params=PATIENCE)

    def make_ready(self, index: str, state: RebuildState) -> None:
        """Set the refresh interval and the replicas of the old index, which filling did not use."""
        operators = self._operator_settings(state.replaces)
        # None: the cluster's default.
        restored = {name: operators.get(name) for name in _RESTORED_AFTER_FILLING}
        with sink_errors(self._alias):
            self._client.indices.put_settings(
                index=index, body={"index": restored}, params=PATIENCE
            )

    def is_as_healthy(self, index: str, old: str | None) -> bool:
        """Whether the copies of an index are as available as those of the old one.

        If there is no old one, each shard must answer.
        """
        least = self._health(old) if self.exists(old) else _HEALTH.index("yellow")
        return self._health(index) >= least

    def _health(self, index: str) -> int:
        with sink_errors(self._alias):
            health = self._client.cluster.health(index=index, params=PATIENCE)
        return _HEALTH.index(health["status"])

    def shown(self, index: str) -> int:
        """The number of images that readers of this index would find."""
        with sink_errors(self._alias):
            count: int = self._client.count(index=index, body={"query": LIVE_FILTER})["count"]
        return count

    def shown_now(self) -> int:
        """The number of images that readers find now, if they read one of the indices behind it."""
        with sink_errors(self._alias):
            aliased = read_aliased(self._client, self._alias)
        reading = live_alias(self._alias)
        read = [index for index, its in aliased.items() if reading in its["aliases"]]
        return max(map(self.shown, read), default=0)

    def shards(self, index: str) -> Shards:
        """The shards of an index, to follow its writes."""
        return Shards(self._client, index)

    def switch(self, to: str) -> None:
        """Move both aliases to this index, in one atomic step.

        Raises:
            RequestFailedError: not every node has applied it in time. It may be applied later.
        """
        definitions = alias_definitions(self._alias)
        with sink_errors(self._alias):
            aliased = read_aliased(self._client, self._alias)
            actions = [
                {"remove": {"index": index, "alias": name}}
                for index, its in aliased.items()
                for name in definitions
                if name in its["aliases"]
            ]
            actions += [
                {"add": {"index": to, "alias": name, **more}} for name, more in definitions.items()
            ]
            done = self._client.indices.update_aliases(body={"actions": actions}, params=PATIENCE)
        if not done["acknowledged"]:
            raise RequestFailedError(
                f"OpenSearch has not switched the aliases to {to} on every node yet: run this again"
            )

    def writing(self) -> frozenset[str]:
        """The requests to write that OpenSearch works on now, to whichever index.

        A node registers a request before it looks up to which index the alias points. So a request
        that was sent to the old index is here from the moment of the switch until it has ended.
        That holds on every node that has applied the switch; one node always has.

        Raises:
            RequestFailedError: a node did not answer.
        """
        with sink_errors(self._alias):
            found = self._client.tasks.list(
                params={"actions": "indices:data/write/*", "group_by": "none"}
            )
        if failures := [*found.get("node_failures", ()), *found.get("task_failures", ())]:
            raise RequestFailedError(
                f"OpenSearch cannot list the requests that it works on: {failures[0]}"
            )
        return frozenset(f"{one['node']}:{one['id']}" for one in found["tasks"])

    def open(self, index: str) -> None:
        """Point the alias `building` at this index, and at no other.

        A request whose answer was lost may have set it on another index, even after that one's
        rebuild has ended.
        """
        with sink_errors(self._alias):
            found = self._client.indices.get(index=f"{self._alias}-*")
            actions = [
                {"remove": {"index": one, "alias": self.building}}
                for one, its in found.items()
                if one != index and self.building in its["aliases"]
            ]
            actions.append({"add": {"index": index, "alias": self.building}})
            self._client.indices.update_aliases(body={"actions": actions}, params=PATIENCE)

    def close(self, index: str) -> None:
        """Remove the alias `building` from an index."""
        with sink_errors(self._alias), suppress(NotFoundError):
            self._client.indices.delete_alias(index=index, name=self.building)

    def drop(self, index: str) -> None:
        """Delete an index that nobody reads or writes.

        Raises:
            MisconfiguredError: an alias of the stack points to it.
        """
        with sink_errors(self._alias):
            its = self._client.indices.get_alias(index=index)[index]["aliases"]
            if its.keys() & {self._alias, live_alias(self._alias)}:
                message = f"{index} is live, so it is not deleted"
                raise MisconfiguredError(message)
            self._client.indices.delete(index=index, params=PATIENCE)

    def _replaced(
        self, state: RebuildState | None, states: Mapping[str, RebuildState | None]
    ) -> Iterator[str]:
        while state is not None and self.exists(replaced := state.replaces):
            yield replaced
            state = states.get(replaced)

    def _operator_settings(self, old: str | None) -> Mapping[str, Any]:
        """The operator's settings of the old index; without one, what the stack wants.

        The number of shards is always the stack's: a rebuild is the only way to change it.
        """
        wanted = self._settings.of_new_index()
        if not self.exists(old):
            return wanted
        with sink_errors(self._alias):
            settings = self._client.indices.get_settings(index=old)[old]["settings"]["index"]
        there = {name: settings[name] for name in _OPERATOR_SETTINGS if name in settings}
        return there | {name: wanted[name] for name in _ONLY_BY_REBUILD & wanted.keys()}

    def _differences(self, its: Mapping[str, Any]) -> Iterator[str]:
        yield from map(str, index_differences(its))
        if (shards := self._settings.other_shards(its)) is not None:
            yield shards


def _creation_of(its: Mapping[str, Any]) -> float:
    """When an index was created, in seconds since 1970; OpenSearch keeps milliseconds as text."""
    return int(its["settings"]["index"]["creation_date"]) / 1000


def _as_meta(state: RebuildState) -> Mapping[str, Any]:
    return {"_meta": {"rebuild": msgspec.to_builtins(state)}}


def _state_in(name: str, its: Mapping[str, Any]) -> RebuildState | None:
    kept = its["mappings"].get("_meta", {}).get("rebuild")
    try:
        return None if kept is None else msgspec.convert(kept, RebuildState)
    except msgspec.ValidationError as error:
        raise RequestFailedError(
            f"{name}: _meta.rebuild was not written by a rebuild: {error}"
        ) from error
