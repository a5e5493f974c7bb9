"""What somebody does to the index and its aliases by mistake."""

import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from lockstep.simulation.components import INDEX
from lockstep.simulation.fakes.opensearch_cluster import Cluster, FakeIndex
from lockstep.simulation.faults import Fault
from lockstep.simulation.system import System

READING = f"{INDEX}-live"
# As docs/internals/invariants.md says: the alias for reading hides tombstones.
_LIVE_ONLY = {"filter": {"term": {"deleted": False}}}
# Another program's or an older rebuild's.
_OTHER = f"{INDEX}-000900"
_FIELDS = ("url", "content_type", "size_bytes", "width", "height", "checksum", "taken_at", "tags")


def are_right(nodes: Cluster) -> bool:
    """Whether both aliases name one index, and that for reading hides tombstones."""
    writing, reading = [*nodes.behind(INDEX)], [*nodes.behind(READING)]
    if len(writing) != 1 or writing != reading:
        return False
    (index,) = writing
    return (
        index.aliases[INDEX] in ({}, {"is_write_index": True})
        and index.aliases[READING] == _LIVE_ONLY
    )


def trouble(nodes: Cluster) -> Fault | None:
    """Why a consumer may not be able to write; None if nothing is wrong for it."""
    if nodes.pinned is not None:
        return "bulk in progress at a switch"
    if not nodes.is_writable:
        return "alias missing"
    if nodes.live.is_foreign:
        return "index of another release"
    if len(nodes.indices) > 1 and len([*nodes.behind(INDEX)]) > 1:
        return "alias moved"
    return None


def harm(system: System, chance: random.Random) -> None:
    """Lose the index, set an alias wrongly, or find an index of another release."""
    nodes = system.index.nodes
    kind: Fault = chance.choice(("index lost", "alias moved", "index of another release"))
    system.conditions.tally[kind] += 1
    match kind:
        case "index lost":
            # What only the index had is lost with it: the end of the history says what must be.
            for image_id in nodes.live.documents:
                system.touched["write_to_es"][image_id] = len(nodes.journal)
            nodes.remove(nodes.live.name)
        case "alias moved":
            chance.choice(_MOVES)(nodes)
            _change_aliases(system)
        case _:
            _age(nodes.live, chance)


def _change_aliases(system: System) -> None:
    """Let the aliases count. If another index is behind them now, the end says what must be."""
    nodes = system.index.nodes
    was, moved = nodes.live, nodes.moved
    nodes.moved = lambda _was, _is: None  # no rebuild moves them
    nodes.aliases_changed()
    nodes.moved = moved
    if nodes.live is not was:
        for image_id in was.documents.keys() | nodes.live.documents.keys():
            system.touched["write_to_es"][image_id] = len(nodes.journal)


def _age(live: FakeIndex, chance: random.Random) -> None:
    """Let the index be as another release made it: without some fields, or analyzed otherwise."""
    live.is_foreign = True
    if chance.random() < 0.5:  # noqa: PLR2004 - a coin
        lacks = chance.sample(_FIELDS, chance.randint(1, len(_FIELDS)))
        ours = live.mappings["properties"]
        fields = {name: its for name, its in ours.items() if name not in lacks}
        live.mappings = {**live.mappings, "properties": fields}
    else:
        analysis: Mapping[str, Any] = live.settings["analysis"]
        other = {**analysis["analyzer"], "stem": {"type": "custom", "tokenizer": "standard"}}
        live.settings = {**live.settings, "analysis": {**analysis, "analyzer": other}}


def _without_filter(nodes: Cluster) -> None:
    nodes.live.aliases[READING] = {}


def _not_read(nodes: Cluster) -> None:
    del nodes.live.aliases[READING]


def _read_elsewhere(nodes: Cluster) -> None:
    _other(nodes).aliases[READING] = nodes.live.aliases.pop(READING)


def _not_written(nodes: Cluster) -> None:
    del nodes.live.aliases[INDEX]


def _written_elsewhere(nodes: Cluster) -> None:
    _other(nodes).aliases[INDEX] = nodes.live.aliases.pop(INDEX)


def _write_forbidden(nodes: Cluster) -> None:
    nodes.live.aliases[INDEX] = {"is_write_index": False}


def _written_twice(nodes: Cluster) -> None:
    nodes.live.aliases[INDEX] = {"is_write_index": True}
    _other(nodes).aliases[INDEX] = {}


def _other(nodes: Cluster) -> FakeIndex:
    """Another index: an old one if there is one, or an empty one."""
    for one in nodes.indices.values():
        if one is not nodes.live:
            return one
    return nodes.add(_OTHER, nodes.live.mappings, nodes.live.settings)


_MOVES: Sequence[Callable[[Cluster], None]] = (
    _without_filter,
    _not_read,
    _read_elsewhere,
    _not_written,
    _written_elsewhere,
    _write_forbidden,
    _written_twice,
)
