"""The index of a plan: its size, its shards, and the nodes of its domain."""

import math
from collections.abc import Mapping, Sequence

import msgspec

from lockstep.plan.formulas import Formula, Known, Value
from lockstep.plan.sources import NodeType

DISKS_GIB = (10, 20, 30, 50, 75, 100, 150, 200, 300, 400, 500, 750, 1000)
"""What OpenSearchVolumeGiB may be."""

INDEX: Sequence[Formula] = (
    Formula(
        "needed_events_per_second",
        "events that the stack must take",
        "events/s",
        "max(peak_events_per_second, drain_factor * mean_events_per_second)",
    ),
    Formula(
        "tombstones",
        "tombstones in each store",
        "",
        "mean_events_per_second * deletion_share * tombstone_days * 86400",
    ),
    Formula("entries", "images and tombstones", "", "images + tombstones", shown=False),
    Formula(
        "index_bytes_per_image",
        "index for each image",
        "bytes",
        "benchmark_index_mb * 1000000 / benchmark_images * event_bytes / benchmark_event_bytes",
    ),
    Formula(
        "index_gib",
        "index, without replicas",
        "GiB",
        "(images * index_bytes_per_image + tombstones * tombstone_document_bytes) / 1073741824",
    ),
    Formula(
        "document_cpu_ms",
        "processor time of the domain to write a document once",
        "ms",
        "benchmark_index_fill_s * 1000 / benchmark_images"
        " * max(1, event_bytes / benchmark_event_bytes)",
        shown=False,
    ),
    Formula(
        "primaries",
        "primary shards (IndexShards)",
        "",
        "max(1, ceil(index_gib / index_shard_gib), ceil(needed_events_per_second"
        " * document_cpu_ms / 1000 / (usable_percent / 100)))",
    ),
    Formula("replicas", "replicas of each shard (IndexReplicas)", "", "1"),
    Formula(
        "domain_vcpus",
        "processors that the domain needs",
        "vCPUs",
        "(needed_events_per_second * document_cpu_ms * (1 + replicas)"
        " + searches_per_second * query_cpu_ms) / 1000 / (usable_percent / 100)",
        shown=False,
    ),
    Formula(
        "domain_disk_gib",
        "disk that the domain needs",
        "GiB",
        "index_gib * (1 + replicas) * copies_at_rebuild"
        " / (1 - linux_reserved_share) / (1 - service_reserved_share)",
        shown=False,
    ),
)

CHOICES: Mapping[str, tuple[str, str, str]] = {
    "node_type": (
        "instance type (OpenSearchInstanceType)",
        "",
        "the cheapest of which used_nodes have domain_vcpus and domain_disk_gib; else the largest",
    ),
    "nodes": (
        "nodes (OpenSearchInstanceCount)",
        "",
        "most_template_nodes; more of the largest type, if they do not have what is needed",
    ),
    "used_nodes": (
        "nodes that hold shards",
        "",
        "min(nodes, primaries * (1 + replicas))",
    ),
    "node_vcpus": ("processors of a node", "vCPUs", "vcpus of node_type"),
    "node_hour_dollars": ("price of a node", "dollars/h", "hour_dollars of node_type"),
    "node_disk_gib": (
        "disk of each node (OpenSearchVolumeGiB)",
        "GiB",
        "domain_disk_gib / used_nodes, raised to a value of OpenSearchVolumeGiB if there is one",
    ),
}
"""What is chosen from a list: label, unit, and how."""


def chosen_nodes(types: Sequence[NodeType], values: Mapping[str, Known]) -> dict[str, Value]:
    """The nodes of the domain: a value for each name in `CHOICES`.

    Args:
        types: the types to choose from.
        values: the figures of `INDEX`, and what they follow from.
    """
    names = ("domain_vcpus", "domain_disk_gib", "primaries", "replicas", "most_template_nodes")
    vcpus, disk, primaries, replicas, nodes = msgspec.convert(
        [values[name] for name in names], list[float]
    )
    copies = primaries * (1 + replicas)
    used = min(nodes, copies)
    for node in sorted(types, key=lambda one: one.hour_dollars):
        if node.vcpus * used >= vcpus and node.most_disk_gib * used >= disk:
            break
    else:
        node = max(types, key=lambda one: one.vcpus)
        nodes = max(nodes, math.ceil(vcpus / node.vcpus), math.ceil(disk / node.most_disk_gib))
        used = min(nodes, copies)
    needed = disk / used
    return {
        "node_type": node.type,
        "nodes": nodes,
        "used_nodes": used,
        "node_vcpus": node.vcpus,
        "node_hour_dollars": node.hour_dollars,
        "node_disk_gib": next((one for one in DISKS_GIB if one >= needed), math.ceil(needed)),
    }
