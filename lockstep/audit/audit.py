"""Runs an audit: reads both stores to disk, compares them, and looks up again what differs."""

import datetime as dt
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Literal

import msgspec

from lockstep.audit.ahead import AheadKind
from lockstep.audit.comparison import Comparison
from lockstep.audit.first_read import FirstRead, ReadHere
from lockstep.audit.image_comparison import IMAGES
from lockstep.audit.recheck import Difference, Findings, OverBudgetError, Recheck
from lockstep.audit.restored import Restored
from lockstep.audit.suspects import Suspect, Suspects
from lockstep.stores.readers import EntryReader, StoreUnreadableError
from lockstep.stream.losses import Loss, StoppedConsumer, Unread
from shared.clock import Clock

# For so many seconds, a difference may be due to a record that is still in progress.
WATERMARK = 30.0


class Sample(msgspec.Struct, frozen=True):
    """An estimate for all images from a random sample.

    `images` is the size of the sample. With probability `confidence`, at most the share `at_most`
    of all images differs.
    """

    images: int
    confidence: float
    at_most: float


class Audit(msgspec.Struct, frozen=True, omit_defaults=True):
    """The result of an audit. `table` and `index` count entries, tombstones included.

    `under_way` counts images that differ, perhaps only because a consumer lags. `ahead` counts
    images by what the index has that the table lacks. `replay_since` is the oldest arrival of what
    of that a stream may still hold. `restored`: the table is a restored one. `warnings` are about
    the stack, one sentence each. `wrong` is what is wrong with the aliases of the index or with
    its mapping, whatever the entries say.

    `discarded` counts the failure documents of batches that the event source mappings discarded.
    `losses` and `stopped`: why both stores may lack the same events, see `with_unread`; those that
    arrived since `unknown_since`.
    """

    result: Literal["equal", "different", "unknown"]
    table: int
    index: int
    differences: dict[str, int]
    seconds: float
    ahead: dict[AheadKind, int] = {}
    replay_since: dt.datetime | None = None
    restored: Restored | None = None
    reason: str | None = None
    under_way: int = 0
    sample: Sample | None = None
    warnings: Sequence[str] = ()
    wrong: Sequence[str] = ()
    discarded: int = 0
    losses: tuple[Loss, ...] = ()
    stopped: tuple[StoppedConsumer, ...] = ()
    unknown_since: dt.datetime | None = None

    @property
    def complete(self) -> bool:
        """Whether the stores were compared completely; then `result` is their difference."""
        return self.reason is None

    @property
    def exit_code(self) -> int:
        """0: equal. 1: different, or something is `wrong`. 2: unknown."""
        if self.wrong:
            return 1
        return {"equal": 0, "different": 1, "unknown": 2}[self.result]


def audit(
    table: EntryReader,
    index: EntryReader,
    *,
    quarantined_images: Callable[[], Iterable[tuple[str, str]]],
    clock: Clock,
    progress: Callable[[str, int], None] = lambda _store, _count: None,
    settled: Callable[[], float] = lambda: math.inf,
    watermark: float = WATERMARK,
    budget: float = math.inf,
    on_difference: Callable[[Difference], None] = lambda _: None,
    only: Iterable[str] | None = None,
    first_read: FirstRead | None = None,
) -> Audit:
    """Compare the table with the index; see `compared`.

    Args:
        table: the system of record.
        index: the search index.
        quarantined_images: see `compared`.
        clock: see `compared`.
        progress: see `compared`.
        settled: see `compared`.
        watermark: see `compared`.
        budget: see `compared`.
        on_difference: see `compared`.
        only: see `compared`.
        first_read: see `compared`.
    """
    found = compared(
        table,
        index,
        IMAGES,
        quarantined_images=quarantined_images,
        clock=clock,
        progress=progress,
        settled=settled,
        watermark=watermark,
        budget=budget,
        on_difference=on_difference,
        only=only,
        first_read=first_read,
    )
    reason, under_way = found.reason, found.findings.under_way
    if under_way and reason is None:
        reason = (
            f"{under_way:,} images differ, but a consumer lags by more than {watermark:g} s: "
            "run `lockstep status --wait 60`, then audit again"
        )
    return audit_of(found.findings, seconds=found.seconds, reason=reason)


class Compared(msgspec.Struct, frozen=True):
    """What a comparison found, and why it is not complete; `reason` is None if it is."""

    findings: Findings
    seconds: float
    reason: str | None


def compared(
    record: EntryReader,
    replica: EntryReader,
    comparison: Comparison,
    *,
    quarantined_images: Callable[[], Iterable[tuple[str, str]]] = tuple,
    clock: Clock,
    progress: Callable[[str, int], None] = lambda _store, _count: None,
    settled: Callable[[], float] = lambda: math.inf,
    watermark: float = WATERMARK,
    budget: float = math.inf,
    on_difference: Callable[[Difference], None] = lambda _: None,
    only: Iterable[str] | None = None,
    first_read: FirstRead | None = None,
) -> Compared:
    """Compare two stores completely, in bounded memory.

    Images that differ are looked up again in both stores, repeatedly, until they are equal or
    proved different. It is not complete if a store could not be read completely, or a record is
    still in progress (`findings.under_way`).

    Args:
        record: the system of record.
        replica: the replica of it.
        comparison: what their entries mean.
        quarantined_images: reads which consumer has a record of which image in quarantine; called
            only if something differs.
        clock: the clock.
        progress: called with a store's name and the number of entries read from it.
        settled: the time up to which the consumers have processed all arrivals, in seconds since
            1970.
        watermark: seconds to wait for records in progress.
        budget: seconds; a comparison that takes longer is not complete.
        on_difference: called with each proved difference.
        only: compare these images only.
        first_read: how both stores are read; None: in this process.
    """
    started = clock.elapsed()
    recheck = Recheck(
        record,
        replica,
        quarantined_images=quarantined_images,
        clock=clock,
        deadline=started + budget,
        on_difference=on_difference,
        comparison=comparison,
    )
    reason = None
    suspects, counts = Suspects(), recheck.findings.counts

    def on_read(store: str, entries: int) -> None:
        counts[store] += entries
        progress(store, counts[store])

    try:
        if only is None:
            read = first_read or ReadHere(record, replica, comparison)
            found = read.suspects(now=clock.now, on_read=on_read, check=recheck.check_budget)
            suspects.add(found)
        else:
            suspects.add(Suspect(one, in_record=False, in_replica=False) for one in only)
        recheck.run(suspects, settled, watermark, first_pause=only is None)
    except StoreUnreadableError as error:
        reason = str(error)
    except OverBudgetError:
        reason = f"the audit did not end within {budget:g} s"
    finally:
        suspects.close()
    return Compared(recheck.findings, clock.elapsed() - started, reason)


def audit_of(findings: Findings, *, seconds: float, reason: str | None) -> Audit:
    """The result of an audit.

    Args:
        findings: what it found.
        seconds: how long it took.
        reason: why the stores could not be compared completely; None if they were.
    """
    found = findings.found
    result: Literal["equal", "different", "unknown"] = "different" if found else "equal"
    return Audit(
        result="unknown" if reason else result,
        table=findings.counts["table"],
        index=findings.counts["index"],
        differences=dict(sorted(found.items())),
        seconds=round(seconds, 3),
        ahead=dict(sorted(findings.ahead.items())),
        replay_since=_as_time(findings.replay_since),
        reason=reason,
        under_way=findings.under_way,
    )


def with_unread(found: Audit, unread: Unread) -> Audit:
    """The audit, knowing what the consumers have not read and cannot read any more.

    Stores that are equal may both lack the same events: then the result is `unknown`. What is
    proved different stays so, and can be repaired.
    """
    if not unread:
        return found
    return msgspec.structs.replace(
        found,
        result="unknown" if found.result == "equal" else found.result,
        losses=unread.losses,
        stopped=unread.stopped,
        unknown_since=unread.since,
    )


def _as_time(arrived_at: int | None) -> dt.datetime | None:
    """An arrival in milliseconds since 1970, exactly: a replay tells if the stream holds it."""
    if arrived_at is None:
        return None
    return dt.datetime.fromtimestamp(0, dt.UTC) + dt.timedelta(milliseconds=arrived_at)
