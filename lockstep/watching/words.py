"""What is seen, in words and figures: the screen and the plain lines share them."""

import datetime as dt
from collections.abc import Mapping

from lockstep.watching.seen import SeenAlarms, SeenAudit, SeenQuarantine, SeenShards
from shared.rfc3339 import rfc3339

UNKNOWN = "unknown"


def moment(seconds: float) -> str:
    """A time, as in all output of Lockstep: in UTC, in whole seconds."""
    return rfc3339(dt.datetime.fromtimestamp(seconds, dt.UTC), "seconds")


def rate(per_second: float | None) -> str:
    """Records a second; a decimal only where it says something."""
    if per_second is None:
        return UNKNOWN
    return f"{per_second:,.1f}/s" if 0 < per_second < 100 else f"{per_second:,.0f}/s"  # noqa: PLR2004


def lag(milliseconds: int | None) -> str:
    """A lag in seconds; from two hours on in hours."""
    if milliseconds is None:
        return UNKNOWN
    seconds = milliseconds / 1000
    return f"{seconds:,.1f} s" if seconds < 7200 else f"{seconds / 3600:,.1f} h"  # noqa: PLR2004


def shards(seen: SeenShards) -> str:
    """How many shards are open, and the share of the busiest."""
    if seen.busiest_share is None:
        return f"{seen.open:,} open"
    which = f" ({seen.busiest})" if seen.busiest else ""
    return f"{seen.open:,} open, the busiest gets {seen.busiest_share * 100:,.0f} %{which}"


def quarantine(seen: SeenQuarantine) -> str:
    """How many records and discarded batches wait."""
    discarded = sum(seen.discarded.values())
    more = f", discarded batches: {discarded:,}" if discarded else ""
    return f"{seen.records:,}{more}"


def audit(seen: SeenAudit) -> str:
    """The result of the last audit, its size and its end; and what runs now."""
    running = f"; one runs now ({seen.running})" if seen.running else ""
    if seen.result is None or seen.ended is None:
        return f"none has run by itself{running}"
    what = f"{seen.result}, {seen.different:,} images" if seen.different else seen.result
    return f"{what}, {seen.images:,} entries, {rfc3339(seen.ended, 'seconds')}{running}"


def causes(errors: Mapping[str, str]) -> Mapping[str, str]:
    """The parts of each cause: a stack that has stopped is told once."""
    found: dict[str, list[str]] = {}
    for part, why in errors.items():
        found.setdefault(why, []).append(part)
    return {why: ", ".join(parts) for why, parts in found.items()}


def alarms(seen: SeenAlarms) -> str:
    """How many alarms are on, of how many."""
    total = len(seen.on) + seen.off + seen.unknown
    if not total:
        return "the stack has none"
    more = f", unknown: {seen.unknown}" if seen.unknown else ""
    return f"{len(seen.on) or 'none'} of {total} on{more}"
