"""The faults of the histories of a replica, and how often a run must hit each."""

from collections.abc import Mapping
from typing import get_args

from lockstep.simulation.faults import AnyFault, ReplicaFault

# What happens in the histories of the images, too.
SHARED: tuple[AnyFault, ...] = (
    "duplicate delivery",
    "replay of a prefix",
    "full replay from TRIM_HORIZON",
    "two mappings on one function",
    "settled as stale",
    "several batches of a shard in flight",
    "another invocation in the middle",
    "batch given up",
    "failure document not written",
    "shard split",
    "connection reset",
    "answer lost",
    "answer of the quarantine cut at a byte",
    "zombie request",
    "throttled request",
    "server error",
    "server error, but applied",
    "credentials for the quarantine expired",
    "request slow by its size",
    "request timed out by its size",
    "crash before a request",
    "crash after a request",
    "crash between requests",
    "crash in a pause",
    "crash before the answer",
    "Lambda timeout",
    "table down",
    "quarantine down",
    "repaired",
    "operator killed",
    "keys left unprocessed",
)
OWN: tuple[AnyFault, ...] = get_args(ReplicaFault)

# Far below the usual numbers, as for the other histories.
FLOORS_PER_THOUSAND: Mapping[AnyFault, int] = dict.fromkeys((*SHARED, *OWN), 2) | {
    "failure document not written": 1,  # rare: a discard while the bucket is down
    "answer of the quarantine cut at a byte": 1,  # rare: few records go there
}
