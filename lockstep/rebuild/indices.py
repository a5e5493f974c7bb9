"""The indices of a stack: which is live, which is being built, and how far; what changes that.

All that a rebuild must remember lies in the cluster: in the aliases, and in the new index's mapping
under `_meta.rebuild`. So it can be gone on with from any machine.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

import msgspec
from opensearchpy import OpenSearch
from opensearchpy.exceptions import NotFoundError, RequestError

from functions.write_to_es.aliases import live_alias
from functions.write_to_es.connect import sink_errors
from functions.write_to_es.index import (
    LIVE_FILTER,
    PATIENCE,
    aliases,
    definition,
    index_differences,
    only_index,
)
from lockstep.console.errors import UserError
from lockstep.rebuild.worker import RebuildWorker
from shared.sink import MisconfiguredError, RequestFailedError

# What an operator may have set on the old index by hand; the rest belongs to the mapping's file.
_OPERATORS = (
    "number_of_shards",
    "number_of_replicas",
    "auto_expand_replicas",
    "refresh_interval",
    "gc_deletes",
)
# While nobody reads it, an index is filled twice as fast without these.
_WHILE_FILLING = {"refresh_interval": "-1", "number_of_replicas": "0"}
_PUT_BACK = ("refresh_interval", "number_of_replicas", "auto_expand_replicas")
# How much better a cluster is off with each; a new index waits to be as well off as the old one.
_HEALTH = ("red", "yellow", "green")


class RebuildState(msgspec.Struct, frozen=True, omit_defaults=True):
    """How far a rebuild is, kept with the index that it builds.

    `replaces` is the old index. `worker` says who is at it, and `beat` changes as long as it is.
    `source` is what it is filled from first, `position` how far that is, `filled` that it is
    through. `followed`: of the old index all is carried over up to this sequence number. `done`:
    after the switch, everything was carried over once more.
    """

    replaces: str
    worker: RebuildWorker
    beat: int = 0
    source: str = ""
    position: str | None = None
    filled: bool = False
    followed: int | None = None
    done: bool = False


class StackIndices(msgspec.Struct, frozen=True):
    """The indices as they are: the live one, and what rebuilds say of themselves.

    `numbered` are all that have a number of this alias, each with its note, if it has one; `next`
    is the name of the one to come. `kept` are the index that the live one has replaced, and
    those before it, as long as they are there. `differences` says where the live index is not as
    this release has it.
    """

    live: str
    numbered: Mapping[str, RebuildState | None]
    next: str
    kept: tuple[str, ...]
    differences: tuple[str, ...]

    @property
    def note(self) -> RebuildState | None:
        """What the rebuild of the live index says, if it was rebuilt."""
        return self.numbered.get(self.live)

    @property
    def unfinished(self) -> tuple[str, ...]:
        """Indices that were being built and never went live."""
        return tuple(
            name
            for name, note in self.numbered.items()
            if note is not None and not note.done and name != self.live
        )


class AnotherRebuildError(UserError):
    """Another rebuild is at work."""


class Indices:
    """The indices behind a stack's aliases."""

    def __init__(self, client: OpenSearch, alias: str) -> None:
        self._client = client
        self._alias = alias

    @property
    def building(self) -> str:
        """The alias through which an index is filled: no write can make one up by itself."""
        return f"{self._alias}-rebuild"

    def look(self) -> StackIndices:
        """The indices as they are now.

        Raises:
            MisconfiguredError: there is no index to be replaced.
            RequestFailedError: they could not be read for now.
        """
        with sink_errors(self._alias):
            there = self._client.indices.get(index=self._alias)
            found = self._client.indices.get(index=f"{self._alias}-*")
        live = only_index(self._alias, there)
        pattern = re.compile(rf"{re.escape(self._alias)}-(\d{{6,}})")
        numbers = {name: int(its[1]) for name in found if (its := pattern.fullmatch(name))}
        notes = {name: _note_in(name, found[name]) for name in sorted(numbers)}
        return StackIndices(
            live=live,
            numbered=notes,
            next=f"{self._alias}-{max(numbers.values(), default=0) + 1:06d}",
            kept=tuple(self._replaced(_note_in(live, there[live]), notes)),
            differences=tuple(str(one) for one in index_differences(there[live])),
        )

    def exists(self, index: str) -> bool:
        """Whether there is such an index."""
        with sink_errors(self._alias):
            return bool(self._client.indices.exists(index=index))

    def create(self, index: str, note: RebuildState) -> None:
        """Make an empty index, as this release has it, for as many shards as the old one has.

        Raises:
            AnotherRebuildError: it is there already.
        """
        settings = definition()["settings"] | self._operators(note.replaces) | _WHILE_FILLING
        settings.pop("auto_expand_replicas", None)
        body = {
            "settings": settings,
            "mappings": definition()["mappings"] | _as_meta(note),
            "aliases": {self.building: {}},
        }
        with sink_errors(self._alias):
            try:
                self._client.indices.create(index=index, body=body, params=PATIENCE)
            except RequestError as error:
                if error.error == "resource_already_exists_exception":
                    message = f"{index} was made at this moment: another rebuild has begun"
                    raise AnotherRebuildError(message) from error
                raise

    def note(self, index: str) -> RebuildState:
        """What an index's rebuild says of itself now."""
        with sink_errors(self._alias):
            found = self._client.indices.get_mapping(index=index)
        note = _note_in(index, found[index])
        if note is None:
            message = f"{index} is none that a rebuild has made"
            raise AnotherRebuildError(message)
        return note

    def keep(self, index: str, note: RebuildState) -> None:
        """Keep the note."""
        with sink_errors(self._alias):
            self._client.indices.put_mapping(index=index, body=_as_meta(note), params=PATIENCE)

    def differences(self, index: str) -> tuple[str, ...]:
        """Where an index is not as this release has it."""
        with sink_errors(self._alias):
            found = self._client.indices.get(index=index)
        return tuple(str(one) for one in index_differences(found[index]))

    def refresh(self, index: str) -> None:
        """Let readers find all that is written."""
        with sink_errors(self._alias):
            self._client.indices.refresh(index=index, params=PATIENCE)

    def make_ready(self, index: str, note: RebuildState) -> None:
        """Give the index what it did without while it was filled: refreshes and replicas."""
        operators = self._operators(note.replaces)
        back = {name: operators.get(name) for name in _PUT_BACK}  # None: the cluster's default
        with sink_errors(self._alias):
            self._client.indices.put_settings(index=index, body={"index": back}, params=PATIENCE)

    def is_as_healthy(self, index: str, old: str) -> bool:
        """Whether as many of its copies are there as of the old index."""
        found = {}
        for name in (index, old):
            with sink_errors(self._alias):
                health = self._client.cluster.health(index=name, params=PATIENCE)
            found[name] = _HEALTH.index(health["status"])
        return found[index] >= found[old]

    def shown(self, index: str) -> int:
        """How many images readers of this index would find."""
        with sink_errors(self._alias):
            count: int = self._client.count(index=index, body={"query": LIVE_FILTER})["count"]
        return count

    def reached(self, index: str) -> int:
        """The sequence number up to which all writes to an index are done, in each of its shards.

        What is written from then on has a higher one; a search for those finds it.
        """
        with sink_errors(self._alias):
            found = self._client.indices.stats(index=index, params={"level": "shards"})
        shards = found["indices"][index]["shards"].values()
        reached: int = min(
            copy["seq_no"]["global_checkpoint"] for copies in shards for copy in copies
        )
        return reached

    def switch(self, to: str) -> None:
        """Both aliases leave the old index for the new one, in one step: nobody sees neither."""
        names = aliases(self._alias)
        with sink_errors(self._alias):
            there = self._client.indices.get_alias(name=",".join(names))
            actions = [
                {"remove": {"index": index, "alias": name}}
                for index, its in there.items()
                for name in its["aliases"]
                if index != to
            ]
            actions += [
                {"add": {"index": to, "alias": name, **more}} for name, more in names.items()
            ]
            self._client.indices.update_aliases(body={"actions": actions}, params=PATIENCE)

    def open(self, index: str) -> None:
        """Let an index be filled through `building`."""
        with sink_errors(self._alias):
            self._client.indices.put_alias(index=index, name=self.building)

    def close(self, index: str) -> None:
        """Take `building` away again."""
        with sink_errors(self._alias), suppress(NotFoundError):
            self._client.indices.delete_alias(index=index, name=self.building)

    def drop(self, index: str) -> None:
        """Delete an index that nobody reads or writes.

        Raises:
            MisconfiguredError: it stands behind an alias of the stack.
        """
        with sink_errors(self._alias):
            its = self._client.indices.get_alias(index=index)[index]["aliases"]
            if its.keys() & {self._alias, live_alias(self._alias)}:
                message = f"{index} is live: it is not dropped"
                raise MisconfiguredError(message)
            self._client.indices.delete(index=index, params=PATIENCE)

    def _replaced(
        self, note: RebuildState | None, notes: Mapping[str, RebuildState | None]
    ) -> Iterator[str]:
        while note is not None and self.exists(note.replaces):
            yield note.replaces
            note = notes.get(note.replaces)

    def _operators(self, old: str) -> Mapping[str, Any]:
        """What was set on the old index by hand, or by default."""
        with sink_errors(self._alias):
            settings = self._client.indices.get_settings(index=old)[old]["settings"]["index"]
        return {name: settings[name] for name in _OPERATORS if name in settings}


def _as_meta(note: RebuildState) -> Mapping[str, Any]:
    return {"_meta": {"rebuild": msgspec.to_builtins(note)}}


def _note_in(name: str, its: Mapping[str, Any]) -> RebuildState | None:
    kept = its["mappings"].get("_meta", {}).get("rebuild")
    try:
        return None if kept is None else msgspec.convert(kept, RebuildState)
    except msgspec.ValidationError as error:
        raise RequestFailedError(f"{name}: _meta.rebuild is none of ours: {error}") from error
