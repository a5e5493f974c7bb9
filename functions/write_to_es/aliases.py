"""The two aliases of the index: their names, their definitions, and what is wrong with them."""

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from opensearchpy import OpenSearch

# The filter of the alias for reading: it hides tombstones.
LIVE_FILTER: Mapping[str, Any] = {"term": {"deleted": False}}
# Parts of an alias that change neither what it finds nor where a write goes.
_HARMLESS = frozenset({"is_write_index", "is_hidden"})


class AliasesCheck(msgspec.Struct, frozen=True):
    """What a check of both aliases found.

    `written`: the index that the consumers write to, or that they would write to if the alias for
    writing existed. None if there is none, or if it is unknown which of several. `problems`: what
    is wrong, one line each; empty if both aliases are as they must be. `by_hand`: the problems that
    `lockstep rebuild` cannot correct.
    """

    written: str | None
    problems: tuple[str, ...]
    by_hand: tuple[str, ...]


def live_alias(alias: str) -> str:
    """The alias for reading, given the one for writing."""
    return f"{alias}-live"


def alias_definitions(alias: str) -> Mapping[str, Mapping[str, Any]]:
    """The definitions of both aliases of an index."""
    return {alias: {"is_write_index": True}, live_alias(alias): {"filter": LIVE_FILTER}}


def read_aliased(client: "OpenSearch", alias: str) -> Mapping[str, Any]:
    """The indices behind both aliases, as OpenSearch returns them, all as of one moment.

    They have all their aliases, mappings and settings. Empty if neither alias exists.

    Raises:
        OpenSearchException: they could not be read.
    """
    found: Mapping[str, Any] = client.indices.get(
        index=f"{alias},{live_alias(alias)}", params={"ignore_unavailable": "true"}
    )
    return found


def check_aliases(alias: str, aliased: Mapping[str, Any]) -> AliasesCheck:
    """Check that both aliases name the same single index, and that readers see no tombstones.

    Args:
        alias: the alias for writing.
        aliased: what `read_aliased` returned.
    """
    live = live_alias(alias)
    by_hand = [
        f"{name} is an index, not an alias: another program created it by a write. Delete it"
        for name in (alias, live)
        if name in aliased
    ]
    writing, reading = ({} if name in aliased else _named(name, aliased) for name in (alias, live))
    if not by_hand and not writing and not reading:
        problem = f"there is no index behind {alias} and {live}"
        return AliasesCheck(written=None, problems=(problem,), by_hand=())
    written = _written(writing, reading)
    if written is None and writing:
        by_hand.append(
            f"alias {alias} names {_list(writing)}, none of them for writing: remove from it "
            "all but the index that holds the images"
        )
    problems = list(by_hand)
    if alias not in aliased:
        problems += _wrong_writing(alias, writing, written)
    if live not in aliased:
        problems += _wrong_reading(live, reading, written)
    return AliasesCheck(written, tuple(problems), tuple(by_hand))


def _named(name: str, aliased: Mapping[str, Any]) -> Mapping[str, Mapping[str, Any]]:
    """The indices behind an alias, each with the alias's definition."""
    return {index: its["aliases"][name] for index, its in aliased.items() if name in its["aliases"]}


def _written(
    writing: Mapping[str, Mapping[str, Any]], reading: Mapping[str, Mapping[str, Any]]
) -> str | None:
    chosen = [index for index, its in writing.items() if its.get("is_write_index") is True]
    for candidates in (chosen, [*writing], [] if writing else [*reading]):
        if len(candidates) == 1:
            return candidates[0]
    return None


def _wrong_writing(
    alias: str, writing: Mapping[str, Mapping[str, Any]], written: str | None
) -> Iterator[str]:
    if not writing:
        yield f"alias {alias} does not exist, so the consumers cannot write"
        return
    if written is None:
        return  # by hand
    if len(writing) > 1:
        yield f"alias {alias} names {_list(writing)}, expected only {written}"
    its = writing[written]
    if its.get("is_write_index") is False:
        yield f"alias {alias} forbids writing to {written}"
    if others := its.keys() - _HARMLESS:
        yield f"alias {alias} has {_list(others)}, expected none"


def _wrong_reading(
    live: str, reading: Mapping[str, Mapping[str, Any]], written: str | None
) -> Iterator[str]:
    if not reading:
        yield f"alias {live} does not exist, so searches find nothing"
        return
    if written is not None and [*reading] != [written]:
        yield f"alias {live} names {_list(reading)}, but the consumers write to {written}"
        return
    for index, its in reading.items():
        if its.get("filter") != LIVE_FILTER:
            yield f"alias {live} does not hide deleted images of {index}"
        if others := its.keys() - _HARMLESS - {"filter"}:
            yield f"alias {live} has {_list(others)} for {index}, expected none"


def _list(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))
