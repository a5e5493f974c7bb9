"""The index behind its aliases: made once, given new fields, never replaced."""

from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
from opensearchpy import OpenSearch
from opensearchpy.exceptions import NotFoundError, RequestError

from functions.write_to_es.aliases import live_alias
from functions.write_to_es.connect import in_sink_words
from shared.event import MAX_ATTRIBUTES
from shared.sink import MisconfiguredError

# Hides tombstones from readers.
LIVE_FILTER: Mapping[str, Any] = {"term": {"deleted": False}}
# Creating an index waits for the cluster's state; a deployment has time.
PATIENCE = {"request_timeout": 30}
_NO_PIPELINE = "_none"
_REBUILD = "this takes a new index: `lockstep rebuild` (docs/guides/rebuild.md)"


class Created(msgspec.Struct, frozen=True):
    """There was nothing: the first index and its aliases are there now."""

    index: str
    aliases: tuple[str, ...]

    def __str__(self) -> str:
        return f"created index {self.index} behind {' and '.join(self.aliases)}"


class Added(msgspec.Struct, frozen=True):
    """The index was there and got what it lacked: fields (`mappings...`) or the reading alias.

    Images written before have nothing in a new field until they are written again.
    """

    index: str
    added: tuple[str, ...]

    def __str__(self) -> str:
        return f"added to index {self.index}: {', '.join(self.added)}"


class Unchanged(msgspec.Struct, frozen=True):
    """The index was there, and as it must be."""

    index: str

    def __str__(self) -> str:
        return f"index {self.index} is as it must be"


class OutdatedIndexError(MisconfiguredError):
    """The index is of another release, and only a new index can be of this one."""


type Ensured = Created | Added | Unchanged


class Missing(msgspec.Struct, frozen=True):
    """A field of ours that the index does not have; it can be added."""

    path: str

    def __str__(self) -> str:
        return f"{self.path} is missing"


class Differs(msgspec.Struct, frozen=True):
    """Something that the index defines otherwise; only a new index can have it our way."""

    path: str
    found: Any
    expected: Any

    def __str__(self) -> str:
        found, expected = (msgspec.json.encode(one).decode() for one in (self.found, self.expected))
        return f"{self.path} is {found}, expected is {expected}"


type Difference = Missing | Differs


@cache
def definition() -> Mapping[str, Any]:
    """`mapping.json`: the body that creates an index, in the form in which OpenSearch shows it."""
    text = Path(__file__).with_name("mapping.json").read_bytes()
    mapping: Mapping[str, Any] = msgspec.json.decode(text)
    return mapping


def aliases(alias: str) -> Mapping[str, Mapping[str, Any]]:
    """Both aliases of the index that is written and read."""
    return {alias: {"is_write_index": True}, live_alias(alias): {"filter": LIVE_FILTER}}


def differences(
    found: Mapping[str, Any], expected: Mapping[str, Any], at: str = "mappings"
) -> Iterator[Difference]:
    """Where a live mapping is not ours; fields and subfields that it has beside ours are allowed.

    Args:
        found: a mapping as OpenSearch shows it.
        expected: ours, in that same form.
        at: where both are.
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
            else:
                yield from differences(there, definition_of, f"{path}.{name}")


_FIELDS = frozenset({"properties", "fields"})
_ALLOWED_BESIDE = _FIELDS | {"_meta"}


def index_differences(its: Mapping[str, Any]) -> Iterator[Difference]:
    """Where a live index, as OpenSearch shows it, is not ours: in its mapping or its analysis.

    What it has beside ours is allowed. An analyzer and what it is made of cannot be added later.
    """
    yield from differences(its["mappings"], definition()["mappings"])
    there = its["settings"]["index"].get("analysis", {})
    for kind, ours in definition()["settings"]["analysis"].items():
        for name, expected in ours.items():
            found = there.get(kind, {}).get(name)
            if found != expected:
                yield Differs(f"settings.analysis.{kind}.{name}", found, expected)


def foreign_settings(its: Mapping[str, Any]) -> Iterator[str]:
    """By which settings a live index may refuse documents that are as they must be."""
    settings = its["settings"]["index"]
    for name in ("default_pipeline", "final_pipeline"):
        pipeline = settings.get(name, _NO_PIPELINE)
        if pipeline != _NO_PIPELINE:
            yield f"{name} is {pipeline}, expected is {_NO_PIPELINE}"
    limit = settings.get("mapping", {}).get("nested_objects", {}).get("limit")
    if limit is not None and int(limit) < MAX_ATTRIBUTES:
        yield f"mapping.nested_objects.limit is {limit}, expected is {MAX_ATTRIBUTES} at least"


def ensure_index(
    client: OpenSearch, alias: str = "images", refresh_interval: str | None = None
) -> Ensured:
    """See to it that there is an index to write to and to read from, under its two aliases.

    Creates, or adds what is missing; never deletes, replaces or changes what is stored. Safe to
    run twice, and by several at once.

    Args:
        client: of the index.
        alias: the writing alias.
        refresh_interval: how soon what was written is found, `1s` for example; None leaves that
            to OpenSearch, which may wait for the first search.

    Raises:
        OutdatedIndexError: this takes a rebuild; nothing is changed.
        MisconfiguredError: what is there is not ours to mend; the message says what to do.
        RequestFailedError: OpenSearch did not answer.
        RequestRefusedError: OpenSearch refuses what we ask for.
    """
    with in_sink_words(alias):
        there = _indices(client, alias)
        if not there:
            try:
                return _create(client, alias, refresh_interval)
            except RequestError as error:
                if error.error != "resource_already_exists_exception":
                    raise _cannot_create(alias, error) from error
            # Somebody else was faster, and made both the index and its aliases in one step.
            there = _indices(client, alias)
        return _complete(client, alias, there, refresh_interval)


def _first(alias: str) -> str:
    return f"{alias}-000001"


def _indices(client: OpenSearch, alias: str) -> Mapping[str, Any]:
    """The indices behind the alias, whole, by their own names; none when it is not there."""
    try:
        found: Mapping[str, Any] = client.indices.get(index=alias)
    except NotFoundError:
        return {}
    return found


def _create(client: OpenSearch, alias: str, refresh_interval: str | None) -> Created:
    index, its_aliases = _first(alias), aliases(alias)
    body = {**definition(), "aliases": its_aliases}
    if refresh_interval is not None:
        body["settings"] = body["settings"] | {"refresh_interval": refresh_interval}
    client.indices.create(index=index, body=body, params=PATIENCE)
    return Created(index, tuple(its_aliases))


def _cannot_create(alias: str, error: RequestError) -> MisconfiguredError:
    return MisconfiguredError(
        f"index {_first(alias)} cannot be created ({error}): mend that and deploy again"
    )


def _complete(
    client: OpenSearch, alias: str, there: Mapping[str, Any], refresh_interval: str | None
) -> Added | Unchanged:
    """Add what the one index behind the alias lacks."""
    index = only_index(alias, there)
    # All of them, before anything is added: an index that is half ours is left alone.
    lacks = [
        one.path if isinstance(one, Missing) else _give_up(alias, index, one)
        for one in index_differences(there[index])
    ]
    live = live_alias(alias)
    reads_from = _reading(client, live)
    if reads_from and list(reads_from) != [index]:
        raise MisconfiguredError(
            f"alias {live} stands for {', '.join(reads_from)}, alias {alias} for {index}: point "
            "both at the same index"
        )
    if reads_from and reads_from[index]["aliases"][live].get("filter") != LIVE_FILTER:
        raise MisconfiguredError(
            f"alias {live} does not hide deleted images: remove that alias and deploy again"
        )
    if lacks:
        tops = {path.split(".")[2] for path in lacks}
        ours = definition()["mappings"]["properties"]
        try:
            client.indices.put_mapping(
                index=index, body={"properties": {name: ours[name] for name in tops}}
            )
        except RequestError as error:  # more fields than the index may have, say
            raise OutdatedIndexError(
                f"index {index} cannot get {', '.join(lacks)} ({error}): {_REBUILD}"
            ) from error
    if not reads_from:
        client.indices.put_alias(index=index, name=live, body={"filter": LIVE_FILTER})
        lacks.append(f"alias {live}")
    refreshed = there[index]["settings"]["index"].get("refresh_interval")
    if refresh_interval not in (None, refreshed):
        body = {"index": {"refresh_interval": refresh_interval}}
        client.indices.put_settings(index=index, body=body)
        lacks.append(f"refresh_interval {refresh_interval}")
    return Added(index, tuple(lacks)) if lacks else Unchanged(index)


def only_index(alias: str, there: Mapping[str, Any]) -> str:
    """The index behind the alias, of those that OpenSearch shows for it.

    Raises:
        MisconfiguredError: there is not exactly one, or it may not be written to.
    """
    if alias in there:
        raise MisconfiguredError(
            f"{alias} is an index, not an alias: it was made by a write without this deployment; "
            "delete it, or give another INDEX_ALIAS"
        )
    if not there:
        raise MisconfiguredError(
            f"index {_first(alias)} is there, but no alias {alias}: point the alias at the index "
            "that holds the images, then deploy again"
        )
    if len(there) > 1:
        raise MisconfiguredError(
            f"alias {alias} stands for {', '.join(sorted(there))}: leave it on one index"
        )
    (index,) = there
    if there[index]["aliases"][alias].get("is_write_index") is False:
        raise MisconfiguredError(
            f"alias {alias} forbids writing to {index}: set its is_write_index to true"
        )
    return index


def _give_up(alias: str, index: str, difference: Differs) -> str:
    raise OutdatedIndexError(f"index {index} behind {alias}: {difference}: {_REBUILD}")


def _reading(client: OpenSearch, live: str) -> Mapping[str, Any]:
    try:
        found: Mapping[str, Any] = client.indices.get_alias(name=live)
    except NotFoundError:
        return {}
    return found
