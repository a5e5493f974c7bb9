"""The alarms of a local stack: the conditions that a look at it shows. Pure.

A local stack has nobody to tell, so nothing evaluates the alarms of the template there. What
`status` knows is shown under the names of those alarms, so that the runbook says what to do.
"""

from collections.abc import Iterator

from lockstep.watching.seen import (
    AlarmOn,
    SeenAlarms,
    SeenAudit,
    SeenIndex,
    SeenLosses,
    SeenQuarantine,
    SeenStream,
)
from shared.quarantine import INDEX_CONSUMER, TABLE_CONSUMER

STORES = {TABLE_CONSUMER: "table", INDEX_CONSUMER: "index"}
# In milliseconds, as the alarm `lags` of template.yaml; a test compares them.
LAGS_MS = 15 * 60 * 1000

type Told = tuple[str, str | None]
"""The name of an alarm, and what it says if it is on."""


def conditions(
    stream: SeenStream | None,
    losses: SeenLosses | None,
    quarantine: SeenQuarantine | None,
    index: SeenIndex | None,
    audit: SeenAudit | None,
) -> SeenAlarms:
    """What is on. The state of what could not be read (None) is unknown."""
    told = [
        *_of_stream(stream),
        *_of_losses(losses),
        *_of_quarantine(quarantine),
        *_of_index(index),
        *_of_audit(audit),
    ]
    parts = (stream, losses, quarantine, index, audit)
    on = tuple(AlarmOn(name, says) for name, says in told if says is not None)
    unknown = sum(count for part, count in zip(parts, _COUNTS, strict=True) if part is None)
    return SeenAlarms(on, off=len(told) - len(on), unknown=unknown)


# How many conditions each part has.
_COUNTS = (4, 1, 4, 2, 2)


def _of_stream(stream: SeenStream | None) -> Iterator[Told]:
    if stream is None:
        return
    for name, consumer in stream.consumers.items():
        store = STORES.get(name)
        if store is None:  # the consumer of the replica, which has no alarms here
            continue
        says = None if consumer.reads else f"{name} does not read"
        yield f"not-reading-{store}", says
        late = consumer.lag_ms is not None and consumer.lag_ms > LAGS_MS
        yield f"lags-{store}", f"{name} is over 15 minutes behind" if late else None


def _of_losses(losses: SeenLosses | None) -> Iterator[Told]:
    if losses is not None:
        who = " and ".join(losses.consumers)
        yield "records-lost", f"{who} cannot read some records any more" if who else None


def _of_quarantine(quarantine: SeenQuarantine | None) -> Iterator[Told]:
    if quarantine is None:
        return
    waits = quarantine.records or any(quarantine.discarded.values())
    yield "quarantine-waiting", "records wait for somebody to look at them" if waits else None
    old = "something is over 60 days old: redrive it" if quarantine.over_60_days else None
    yield "quarantine-old", old
    for name, count in quarantine.discarded.items():
        says = f"batches of {name} were discarded: {count:,}" if count else None
        yield f"discarded-{STORES[name]}", says


def _of_index(index: SeenIndex | None) -> Iterator[Told]:
    if index is not None:
        yield "aliases-astray", next(iter(index.problems), None)
        yield "index-empty", next(iter(index.empty), None)


def _of_audit(audit: SeenAudit | None) -> Iterator[Told]:
    if audit is not None:
        differs = audit.result == "different"
        yield "audit-different", f"{audit.different:,} images differ" if differs else None
        unknown = "the last audit could not be finished" if audit.result == "unknown" else None
        yield "audit-unknown", unknown
