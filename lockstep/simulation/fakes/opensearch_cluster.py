"""The indices and aliases of the fake of OpenSearch: what its nodes hold.

Several clients may use one cluster, each over a connection of its own.
"""

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cache
from typing import Any
from zlib import crc32

import msgspec

from functions.write_to_es.aliases import alias_definitions
from functions.write_to_es.index import definition
from lockstep.simulation.fakes.dynamodb import Written
from lockstep.simulation.fakes.network import AnswerError

BAD_REQUEST, NOT_FOUND = 400, 404
# How long a deleted document's version is remembered (docs/internals/facts.md, OpenSearch).
GC_DELETES_SECONDS = 60.0
# How long after the last write a search sees it, if nobody refreshes the index.
REFRESH_SECONDS = 1.0
_NEVER_REFRESHED = "-1"
# The settings whose effect the fake knows, or that have none on what it stores.
_KNOWN = frozenset(
    {
        "index",
        "analysis",
        "auto_expand_replicas",
        "gc_deletes",
        "number_of_replicas",
        "number_of_shards",
        "refresh_interval",
        "routing",
    }
)
_DEFAULTS: Mapping[str, Any] = {"number_of_shards": "1", "number_of_replicas": "1"}


class StoredDocument(msgspec.Struct, frozen=True):
    """The document of one id. Without a source, it was deleted at that time."""

    version: int
    source: Mapping[str, Any] | None
    at: float


class FakeIndex:
    """One index.

    `documents` by id. `numbers` has the number of the last write to each shard, and `looked_at`
    what they were when somebody asked for the statistics last. Until `busy_until`, each write is
    rejected with 429. `created`, in seconds since 1970. `is_foreign`: another release made it.
    `is_lost`: it stands for one that was deleted, and holds nothing.
    """

    def __init__(
        self, name: str, mappings: Mapping[str, Any], settings: Mapping[str, Any], *, born: int
    ) -> None:
        self.name = name
        self.mappings = mappings
        self.settings = settings
        self.aliases: dict[str, Mapping[str, Any]] = {}
        self.documents: dict[str, StoredDocument] = {}
        self.shards = int(settings["number_of_shards"])
        self.numbers = [-1] * self.shards
        self.history = f"{name}-{born}"
        self.looked_at = list(self.numbers)
        self.busy_until = 0.0
        self.created = 0.0
        self.is_foreign = False
        self.is_lost = False
        self._written_at: float | None = None  # None: nothing since the last refresh
        self._searchable: Mapping[str, StoredDocument] = {}
        self._order: dict[str, int] = {}
        self._searchable_order: Mapping[str, int] = {}

    @property
    def answers(self) -> bool:
        """Whether a node may hold its shards."""
        return "require" not in self.settings.get("routing", {}).get("allocation", {})

    @property
    def gc_deletes(self) -> float:
        """How long the version of a deleted document is remembered, in seconds."""
        wanted = self.settings.get("gc_deletes")
        return GC_DELETES_SECONDS if wanted is None else float(wanted.removesuffix("s"))

    def shard_of(self, image_id: str) -> int:
        """The shard of a document."""
        return crc32(image_id.encode()) % self.shards if self.shards > 1 else 0

    def keep(
        self, image_id: str, version: int, source: Mapping[str, Any] | None, now: float
    ) -> Written:
        """Write a document, or the deletion of one; return what a journal notes."""
        shard = crc32(image_id.encode()) % self.shards if self.shards > 1 else 0
        self.numbers[shard] += 1
        self._order[image_id] = self.numbers[shard]
        kept = StoredDocument(version, source, now)
        self.documents[image_id] = kept
        self._written_at = now
        if source is None:
            return Written(image_id, None, deleted=True, entry=kept, shards=self.history)
        says, deleted = source.get("version"), bool(source.get("deleted"))
        return Written(image_id, says, deleted, kept, self.history)

    def look(self) -> None:
        """Note the numbers of all shards."""
        self.looked_at = list(self.numbers)

    def was_looked_at(self, image_id: str, looked_at: Sequence[int] | None = None) -> bool:
        """Whether the statistics have counted the last write of this document.

        `looked_at`: those of another moment than the last one.
        """
        numbers = self.looked_at if looked_at is None else looked_at
        return self._order.get(image_id, -1) <= numbers[self.shard_of(image_id)]

    def restore(self, documents: dict[str, StoredDocument], now: float) -> None:
        """Replace everything, as a snapshot does that is restored: the shards begin anew."""
        self.documents = documents
        self.history += "'"
        self._written_at = now

    def refresh(self) -> None:
        """Show all writes to searches."""
        self._written_at = None
        self._searchable = {
            one: its for one, its in self.documents.items() if its.source is not None
        }
        self._searchable_order = self._order.copy()

    def searchable(self, now: float) -> Mapping[str, StoredDocument]:
        """The documents that a search sees."""
        if (
            self._written_at is not None
            and now - self._written_at >= REFRESH_SECONDS
            and self.settings.get("refresh_interval") != _NEVER_REFRESHED
        ):
            self.refresh()
        return self._searchable

    def written_after(
        self, number: int, shard: int, now: float
    ) -> list[tuple[int, str, StoredDocument]]:
        """The documents of a shard that a search sees, with a higher `_seq_no`, in its order."""
        order = self._searchable_order
        return sorted(
            (order[image_id], image_id, its)
            for image_id, its in self.searchable(now).items()
            if order.get(image_id, -1) > number and self.shard_of(image_id) == shard
        )

    def forget_deletions(self) -> None:
        """Forget the versions of deleted documents, as a restart does."""
        for image_id in [one for one, its in self.documents.items() if its.source is None]:
            del self.documents[image_id]


class Cluster:
    """All indices, by name.

    `live` is the index behind the alias for writing of the stack, or the last one that was.
    `is_writable` says whether the alias exists and names one index for writing. `journal` has every
    write to any index that took effect, in order. `moved` is called with the last index and the new
    one when the alias has moved. `pinned` is the index of requests that began before that.
    `followed` is an old index from which a rebuild still copies. `looked` is called when somebody
    asks for the statistics. `seen` has, by the history of an index, the numbers that the sender of
    the present change of aliases knew when it sent it.
    """

    def __init__(
        self, alias: str, *, shards: int = 1, now: Callable[[], float] = lambda: 0.0
    ) -> None:
        """Create the first index, by our definition and behind both aliases."""
        self._now = now
        self.indices: dict[str, FakeIndex] = {}
        self.journal: list[Written] = []
        self.moved: Callable[[FakeIndex, FakeIndex], None] = lambda _was, _is: None
        self.looked: Callable[[], None] = lambda: None
        self.pinned: FakeIndex | None = None
        self.followed: FakeIndex | None = None
        self.seen: Mapping[str, Sequence[int]] = {}
        self.opened = itertools.count()
        self.points: dict[str, Mapping[str, StoredDocument]] = {}
        self._alias = alias
        self._born = itertools.count()
        self._removed: list[tuple[FakeIndex, Mapping[str, Any]]] = []
        settings = _first_settings(shards)
        self.live = self.add(f"{alias}-000001", definition()["mappings"], settings)
        self.live.aliases = dict(alias_definitions(alias))
        self.is_writable = True

    def add(self, name: str, mappings: Mapping[str, Any], settings: Mapping[str, Any]) -> FakeIndex:
        """Create an index."""
        made = FakeIndex(name, mappings, settings, born=next(self._born))
        made.created = self._now()
        self.indices[name] = made
        return made

    def remove(self, name: str) -> None:
        """Delete an index, with its aliases."""
        del self.indices[name]
        self.aliases_changed()

    def aliases_changed(self) -> None:
        """Find the index behind the alias for writing."""
        found = None
        with suppress(AnswerError):
            found = self.written(self._alias)
        self.is_writable = found is not None and self._alias in found.aliases
        was = self.live
        if found is not None and self.is_writable:
            self.live = found
            if found is not was:
                self.moved(was, found)
        elif self.live.name not in self.indices:
            self.live = FakeIndex(self.live.name, {}, _DEFAULTS, born=next(self._born))
            self.live.is_lost = True

    def unpin_after(self, written: Iterable[tuple[str, int | None]]) -> None:
        """End `pinned` if the live index has one of these versions of an image already.

        A consumer writes the records of an image in order: a request that began before the alias
        moved holds no record after one that went to the new index.
        """
        there = self.live.documents
        if any(one in there and there[one].version == version for one, version in written):
            self.pinned = None

    def hide(self) -> None:
        """Remove the alias for writing from all indices, as a broken deployment does."""
        if self.is_writable:
            behind = [*self.behind(self._alias)]
            self._removed = [(one, one.aliases.pop(self._alias)) for one in behind]
            self.aliases_changed()

    def show(self) -> None:
        """Set the removed alias again, unless another one was set, or an index deleted."""
        removed, self._removed = self._removed, []
        if not removed:
            return
        are_there = all(self.indices.get(one.name) is one for one, _ in removed)
        if are_there and not any(self.behind(self._alias)):
            for one, its in removed:
                one.aliases[self._alias] = its
        self.aliases_changed()

    def behind(self, alias: str) -> Iterator[FakeIndex]:
        """The indices behind an alias, in order."""
        return (one for one in self.indices.values() if alias in one.aliases)

    def read(self, expression: str, *, unavailable: bool = False) -> list[FakeIndex]:
        """The indices that an expression names: names, aliases, and patterns, between commas.

        `unavailable`: ignore names that do not exist.

        Raises:
            AnswerError: a name does not exist.
        """
        if expression in self.indices:
            return [self.indices[expression]]
        found: dict[str, FakeIndex] = {}
        for name in expression.split(","):
            if "*" in name:
                start = name.removesuffix("*")
                if "*" in start:
                    raise NotImplementedError(name)
                found.update(
                    (one.name, one)
                    for one in self.indices.values()
                    if one.name.startswith(start)
                    or any(its.startswith(start) for its in one.aliases)
                )
                continue
            named = [self.indices[name]] if name in self.indices else [*self.behind(name)]
            if not named and not unavailable:
                raise AnswerError(NOT_FOUND, "index_not_found_exception")
            found.update((one.name, one) for one in named)
        return sorted(found.values(), key=lambda one: one.name)

    def written(self, name: str) -> FakeIndex:
        """The index that a write by this name goes to.

        Raises:
            AnswerError: there is none, or no single one.
        """
        if name in self.indices:
            return self.indices[name]
        behind = [*self.behind(name)]
        if not behind:
            raise AnswerError(NOT_FOUND, f"index_not_found_exception: no such index [{name}]")
        chosen = [one for one in behind if one.aliases[name].get("is_write_index") is True]
        if len(behind) == 1 and behind[0].aliases[name].get("is_write_index") is not False:
            return behind[0]
        if len(chosen) == 1:
            return chosen[0]
        raise AnswerError(
            BAD_REQUEST,
            f"illegal_argument_exception: no write index is defined for alias [{name}]. The write "
            "index may be explicitly disabled using is_write_index=false or the alias points to "
            "multiple indices without one being designated as a write index",
        )

    def shown(self, expression: str, now: float) -> Iterator[tuple[str, StoredDocument]]:
        """What a search sees of an expression; the filter of an alias holds.

        Raises:
            AnswerError: a name does not exist.
        """
        for index in self.read(expression):
            fits = matcher(index.aliases.get(expression, {}).get("filter"))
            for image_id, one in index.searchable(now).items():
                if fits(one.source or {}):
                    yield image_id, one


type Matcher = Callable[[Mapping[str, Any]], bool]


def matcher(query: Mapping[str, Any] | None) -> Matcher:
    """Whether a source fits a query of the kinds that we send.

    Raises:
        NotImplementedError: another kind.
    """
    if not query:
        return lambda _: True
    ((kind, how),) = query.items()
    match kind:
        case "match_all":
            return lambda _: True
        case "term":
            ((field, value),) = how.items()
            return lambda source: source.get(field) == value
        case "exists":
            return lambda source: source.get(how["field"]) is not None
        case "range":
            ((field, bounds),) = how.items()
            return lambda source: (
                field in source
                and all(_COMPARED[name](source[field], bound) for name, bound in bounds.items())
            )
        case "bool" if how.keys() <= {"filter", "must", "should", "must_not"}:
            every = [*map(matcher, _listed(how, "filter") + _listed(how, "must"))]
            some = [*map(matcher, _listed(how, "should"))]
            none = [*map(matcher, _listed(how, "must_not"))]
            needs_one = bool(some) and not every
            return lambda source: (
                all(one(source) for one in every)
                and (not needs_one or any(one(source) for one in some))
                and not any(one(source) for one in none)
            )
        case _:
            raise NotImplementedError(query)


_COMPARED: Mapping[str, Callable[[Any, Any], bool]] = {
    "gt": lambda there, bound: there > bound,
    "gte": lambda there, bound: there >= bound,
    "lt": lambda there, bound: there < bound,
    "lte": lambda there, bound: there <= bound,
}


def _listed(how: Mapping[str, Any], part: str) -> list[Mapping[str, Any]]:
    found = how.get(part, [])
    return list(found) if isinstance(found, list) else [found]


@cache
def _first_settings(shards: int) -> Mapping[str, Any]:
    return _normal(definition()["settings"] | {"number_of_shards": shards}, _DEFAULTS)


def new_settings(given: Mapping[str, Any]) -> Mapping[str, Any]:
    """The settings of a new index.

    Raises:
        NotImplementedError: the fake does not know one.
    """
    return changed_settings(given, _DEFAULTS)


def changed_settings(given: Mapping[str, Any], there: Mapping[str, Any]) -> Mapping[str, Any]:
    """The settings of an index after a change.

    Raises:
        NotImplementedError: the fake does not know one.
    """
    for path in [*given, *given.get("index", {})]:
        if path.partition(".")[0] not in _KNOWN:
            raise NotImplementedError(path)
    return _normal(given, there)


def _normal(given: Mapping[str, Any], there: Mapping[str, Any]) -> Mapping[str, Any]:
    """Settings as OpenSearch shows them, with dots resolved and values as texts.

    A value of None removes a setting, or gives it its default.
    """
    merged = dict(there)
    for path, value in given.items():
        name, _, rest = path.partition(".")
        nested = {rest: value} if rest else value
        if name == "index":
            merged = dict(_normal(nested, merged))
        elif isinstance(nested, Mapping):
            before = merged.get(name, {})
            merged[name] = _normal(nested, before if isinstance(before, Mapping) else {})
        elif nested is None:
            merged.pop(name, None)
            if name in _DEFAULTS:
                merged[name] = _DEFAULTS[name]
        else:
            merged[name] = nested if isinstance(nested, list) else _as_text(nested)
    return merged


def _as_text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
