"""Creates the index and its aliases, and adds new fields. Never replaces an index."""

import hashlib
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
from opensearchpy import OpenSearch
from opensearchpy.exceptions import RequestError

from functions.write_to_es.aliases import (
    LIVE_FILTER,
    AliasesCheck,
    alias_definitions,
    check_aliases,
    live_alias,
    read_aliased,
)
from functions.write_to_es.connect import sink_errors
from functions.write_to_es.settings import IndexSettings
from shared.event import MAX_ATTRIBUTES
from shared.sink import MisconfiguredError

# In seconds: a change of the cluster state takes longer than a write.
PATIENCE = {"request_timeout": 30}
_NO_PIPELINE = "_none"
_REBUILD = "this needs a new index: run `lockstep rebuild` (docs/guides/rebuild.md)"
_SET_ALIASES = "run `lockstep rebuild --apply`, then deploy again"
REBUILD_FOR_SHARDS = "run `lockstep rebuild --apply`, which builds a new index"


class Created(msgspec.Struct, frozen=True):
    """There was no index, so the first one was created, with its aliases."""

    index: str
    aliases: tuple[str, ...]

    def __str__(self) -> str:
        return f"created index {self.index} behind {' and '.join(self.aliases)}"


class Added(msgspec.Struct, frozen=True):
    """Missing fields (`mappings...`), the reading alias or a setting were added to the index.

    Images that were written before have no value in a new field until they are written again.
    `other_shards` says how the number of shards differs, which only a new index can get.
    """

    index: str
    added: tuple[str, ...]
    other_shards: str | None = None

    def __str__(self) -> str:
        return f"added to index {self.index}: {', '.join(self.added)}{_hint(self.other_shards)}"


class Unchanged(msgspec.Struct, frozen=True):
    """The index is up to date. `other_shards` says how its number of shards differs."""

    index: str
    other_shards: str | None = None

    def __str__(self) -> str:
        return f"index {self.index} is up to date{_hint(self.other_shards)}"


def _hint(other_shards: str | None) -> str:
    return "" if other_shards is None else f"; {other_shards}: {REBUILD_FOR_SHARDS}"


class OutdatedIndexError(MisconfiguredError):
    """The index does not fit this release. Only a new index can have the right definition."""


class WrongAliasesError(MisconfiguredError):
    """An alias is not as it must be; `lockstep rebuild` sets both."""


type Ensured = Created | Added | Unchanged


class Missing(msgspec.Struct, frozen=True):
    """A definition that the index does not have. It can be added."""

    path: str

    def __str__(self) -> str:
        return f"{self.path} is missing"


class Differs(msgspec.Struct, frozen=True):
    """A definition that differs from ours. Only a new index can have ours."""

    path: str
    found: Any
    expected: Any

    def __str__(self) -> str:
        found, expected = (_shown(one) for one in (self.found, self.expected))
        return f"{self.path} is {found}, expected {expected}"


# The rules of a character filter have hundreds of kilobytes.
_MOST_SHOWN = 1_000


def _shown(definition: Any) -> str:
    text = msgspec.json.encode(definition).decode()
    if len(text) <= _MOST_SHOWN:
        return text
    return f"{text[:_MOST_SHOWN]}... ({len(text):,} characters)"


type MappingDifference = Missing | Differs


_MAPPING = Path(__file__).with_name("mapping.json")
# The rules of its character filters: `python -m tools.character_rules`.
_CHARACTERS = Path(__file__).with_name("characters.json")


@cache
def definition() -> Mapping[str, Any]:
    """The body that creates an index, in the form that OpenSearch returns.

    It is `mapping.json` with the rules in `characters.json`.
    """
    body: Mapping[str, Any] = msgspec.json.decode(_MAPPING.read_bytes())
    char_filters = body["settings"]["analysis"]["char_filter"]
    for name, rules in msgspec.json.decode(_CHARACTERS.read_bytes()).items():
        char_filters[name]["mappings"] = rules
    return body


def definition_sha256() -> str:
    """The SHA-256 of the definition's files. A deployed stack tells that of its consumers."""
    return hashlib.sha256(_MAPPING.read_bytes() + _CHARACTERS.read_bytes()).hexdigest()


def differences(
    found: Mapping[str, Any], expected: Mapping[str, Any], at: str = "mappings"
) -> Iterator[MappingDifference]:
    """Compare a live index mapping with ours. Additional fields and subfields are allowed.

    Args:
        found: a mapping, as OpenSearch returns it.
        expected: our mapping, in the same form.
        at: the path of both.
    """
    for key in sorted(expected.keys() | (found.keys() - _ALLOWED_BESIDE)):
        path = f"{at}.{key}"
        if key not in _FIELDS:
            if found.get(key) != expected.get(key):
                yield Differs(path, found.get(key), expected.get(key))
            continue
        for name, definition_of in expected[key].items():
            there = found.get(key, {}).get(name)
            if there is None:
                yield Missing(f"{path}.{name}")
            elif there != definition_of:
                yield from differences(there, definition_of, f"{path}.{name}")


_FIELDS = frozenset({"properties", "fields"})
_ALLOWED_BESIDE = _FIELDS | {"_meta"}


def index_differences(its: Mapping[str, Any]) -> Iterator[MappingDifference]:
    """Compare mapping and analysis of a live index, as OpenSearch returns it, with ours.

    Additional definitions are allowed. An analyzer and its parts cannot be added later.
    """
    yield from differences(its["mappings"], definition()["mappings"])
    there = its["settings"]["index"].get("analysis", {})
    for kind, ours in definition()["settings"]["analysis"].items():
        for name, expected in ours.items():
            found = there.get(kind, {}).get(name)
            if found != expected:
                yield Differs(f"settings.analysis.{kind}.{name}", found, expected)


def foreign_settings(its: Mapping[str, Any]) -> Iterator[str]:
    """Settings that make a live index refuse valid documents."""
    settings = its["settings"]["index"]
    for name in ("default_pipeline", "final_pipeline"):
        pipeline = settings.get(name, _NO_PIPELINE)
        if pipeline != _NO_PIPELINE:
            yield f"{name} is {pipeline}, expected {_NO_PIPELINE}"
    limit = settings.get("mapping", {}).get("nested_objects", {}).get("limit")
    if limit is not None and int(limit) < MAX_ATTRIBUTES:
        yield f"mapping.nested_objects.limit is {limit}, expected at least {MAX_ATTRIBUTES}"


class IndexCheck(msgspec.Struct, frozen=True):
    """What a check of both aliases and the index behind them found, one line each.

    `problems`: what is wrong; `lockstep rebuild` shows how to correct it. Empty if both aliases
    name one index, which fits this release. `warnings`: what the stack wants otherwise.
    """

    problems: tuple[str, ...]
    warnings: tuple[str, ...] = ()


def check_index(
    client: OpenSearch,
    alias: str,
    settings: IndexSettings = IndexSettings(),  # noqa: B008 - frozen
) -> IndexCheck:
    """Check both aliases and the index behind them.

    Args:
        client: the client of the index.
        alias: the alias for writing.
        settings: what the stack chooses for its index.

    Raises:
        SinkError: they could not be read.
    """
    with sink_errors(alias):
        aliased = read_aliased(client, alias)
    check = check_aliases(alias, aliased)
    problems = [*check.problems]
    warnings = []
    if check.written is not None and (its := aliased.get(check.written)):
        first, *others = [*map(str, index_differences(its))] or [""]
        noun = "difference" if len(others) == 1 else "differences"
        more = f" and {len(others):,} more {noun}" if others else ""
        if first:
            problems.append(f"index {check.written} is not of this release: {first}{more}")
        if (other := settings.other_shards(its)) is not None:
            warnings.append(f"index {check.written}: {other}: {REBUILD_FOR_SHARDS}")
    return IndexCheck(tuple(problems), tuple(warnings))


def ensure_index(
    client: OpenSearch,
    alias: str = "images",
    settings: IndexSettings = IndexSettings(),  # noqa: B008 - frozen
) -> Ensured:
    """Create the index and its two aliases, or add what is missing.

    Never deletes, replaces or changes stored data. Safe to run twice, and concurrently.

    Args:
        client: the client of the index.
        alias: the alias for writing.
        settings: what the stack chooses for its index.

    Raises:
        OutdatedIndexError: the index needs a rebuild; nothing is changed.
        MisconfiguredError: the index or an alias must be corrected by hand; says how.
        RequestFailedError: OpenSearch did not answer.
        RequestRefusedError: OpenSearch refuses the request.
    """
    with sink_errors(alias):
        there = read_aliased(client, alias)
        if not there:
            try:
                return _create(client, alias, settings)
            except RequestError as error:
                if error.error != "resource_already_exists_exception":
                    raise _cannot_create(alias, error) from error
            # Another process created the index and its aliases in between.
            there = read_aliased(client, alias)
        return _complete(client, alias, there, settings)


def _first(alias: str) -> str:
    return f"{alias}-000001"


def _create(client: OpenSearch, alias: str, settings: IndexSettings) -> Created:
    index, its_aliases = _first(alias), alias_definitions(alias)
    body = {**definition(), "aliases": its_aliases}
    body["settings"] = body["settings"] | settings.of_new_index()
    client.indices.create(index=index, body=body, params=PATIENCE)
    return Created(index, tuple(its_aliases))


def _cannot_create(alias: str, error: RequestError) -> MisconfiguredError:
    return MisconfiguredError(
        f"index {_first(alias)} cannot be created ({error}): correct that and deploy again"
    )


def _complete(
    client: OpenSearch, alias: str, there: Mapping[str, Any], settings: IndexSettings
) -> Added | Unchanged:
    """Add what is missing in the index behind the alias."""
    if not there:
        raise WrongAliasesError(
            f"index {_first(alias)} exists, but alias {alias} does not: {_SET_ALIASES}"
        )
    live = live_alias(alias)
    lacks_live = not any(live in its["aliases"] for its in there.values())
    index = _sound(check_aliases(alias, there), lacks_live=lacks_live)
    # Check everything before adding anything, so that an index that differs is not changed.
    lacks = [
        one.path if isinstance(one, Missing) else _outdated(alias, index, one)
        for one in index_differences(there[index])
    ]
    if lacks:
        tops = {path.split(".")[2] for path in lacks}
        ours = definition()["mappings"]["properties"]
        try:
            client.indices.put_mapping(
                index=index, body={"properties": {name: ours[name] for name in tops}}
            )
        except RequestError as error:  # for example more fields than the index may have
            raise OutdatedIndexError(
                f"index {index} cannot get {', '.join(lacks)} ({error}): {_REBUILD}"
            ) from error
    if lacks_live:
        client.indices.put_alias(index=index, name=live, body={"filter": LIVE_FILTER})
        lacks.append(f"alias {live}")
    if changes := settings.changes(there[index]):
        client.indices.put_settings(index=index, body={"index": changes})
        lacks += [f"{name} {value}" for name, value in changes.items()]
    other = settings.other_shards(there[index])
    return Added(index, tuple(lacks), other) if lacks else Unchanged(index, other)


def _sound(check: AliasesCheck, *, lacks_live: bool) -> str:
    """The index that the consumers write to. The alias for reading may be missing."""
    for problem in check.by_hand:
        raise WrongAliasesError(f"{problem}, then deploy again")
    if check.written is None or len(check.problems) > lacks_live:
        raise WrongAliasesError(f"{'; '.join(check.problems)}: {_SET_ALIASES}")
    return check.written


def _outdated(alias: str, index: str, difference: Differs) -> str:
    raise OutdatedIndexError(f"index {index} behind {alias}: {difference}: {_REBUILD}")
