"""The audit in pieces of a stack: one invocation's work on it."""

import math
from collections.abc import Callable
from typing import Literal

import msgspec

from lockstep.audit.audit import Audit
from lockstep.audit.pieces.ending import PiecesReport, close, ended
from lockstep.audit.pieces.pieces import Pieces, parts_for
from lockstep.audit.pieces.schedule import Schedule, next_audit
from lockstep.audit.pieces.state import AuditState, HeldState, hold
from lockstep.stack.clients import Clients
from lockstep.stack.use_cases.audit import completed, quarantined_images
from lockstep.stack.use_cases.consumers import settled_until
from lockstep.stack.use_cases.stores import stores_of, table_reader
from lockstep.stores.objects import BucketObjects
from shared.pace import Pace

# How far the consumers are costs requests to CloudWatch: not before each lookup.
_SETTLED_SECONDS = 5.0


class Worked(msgspec.Struct, frozen=True, omit_defaults=True):
    """What an invocation did.

    `done`: `idle` if no audit was due or another invocation works on it, `worked` if the next one
    goes on, `ended` if the audit has ended, with its report. `step` is what comes next.
    """

    done: Literal["idle", "worked", "ended"]
    run: str | None = None
    step: str | None = None
    report: PiecesReport | None = None


def work(
    clients: Clients,
    schedule: Schedule,
    *,
    rate: float,
    watermark: float,
    remaining: Callable[[], float],
    until: float,
    publish: Callable[[PiecesReport], None],
) -> Worked:
    """Begin an audit if one is due, or go on with the present one, as far as the time reaches.

    Args:
        clients: the stack's.
        schedule: when an audit begins.
        rate: read units a second, at most.
        watermark: see `Pieces`.
        remaining: the seconds that are left for work.
        until: when this invocation has certainly ended, in seconds since 1970.
        publish: gets the report of an audit that has ended: perhaps twice, if this invocation is
            killed then.

    Raises:
        LeaseLostError: another invocation has taken over.
    """
    clock = clients.clock
    objects = BucketObjects(clients.s3, clients.stack.bucket)

    def begin(before: AuditState | None) -> AuditState | None:
        table = table_reader(clients)
        return next_audit(before, schedule, now=clock.now(), parts=lambda: parts_for(table.count()))

    held = hold(objects, now=clock.now(), until=until, begin=begin)
    if held is None:
        return Worked("idle")
    pace = Pace(rate, clock)
    table, index = stores_of(clients, values=held.state.values, pace=pace)
    pieces = Pieces(
        held,
        table,
        index,
        quarantined_images=lambda: quarantined_images(clients),
        clock=clock,
        remaining=remaining,
        settled=_seldom(lambda: settled_until(clients, watermark), clock.elapsed),
        units=lambda: pace.used,
        watermark=watermark,
    )
    audit = pieces.go_on()
    if audit is None:
        held.release()
        return Worked("worked", held.state.run, held.state.step)
    return _ended(held, completed(clients, audit), clock.now(), publish)


def _ended(
    held: HeldState, audit: Audit, now: float, publish: Callable[[PiecesReport], None]
) -> Worked:
    report = ended(held, audit, now)
    publish(report)
    close(held, report, now)
    return Worked("ended", held.state.run, held.state.step, report)


def _seldom(ask: Callable[[], float], elapsed: Callable[[], float]) -> Callable[[], float]:
    """The same answer again for some seconds. An older one is true, too: see `settled_until`."""
    asked_at, answer = -math.inf, 0.0

    def answered() -> float:
        nonlocal asked_at, answer
        now = elapsed()
        if now - asked_at >= _SETTLED_SECONDS:
            asked_at, answer = now, ask()
        return answer

    return answered
