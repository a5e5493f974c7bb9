"""One piece of the audit, with its log lines and its metrics."""

from collections.abc import Callable

import msgspec
from aws_lambda_powertools import Logger, Metrics

from lockstep.audit.audit import WATERMARK
from lockstep.audit.pieces.ending import PiecesReport
from lockstep.audit.pieces.schedule import Schedule
from lockstep.audit.pieces.state import LeaseLostError
from lockstep.stack.clients import Clients
from lockstep.stack.use_cases.pieces import Worked, work

# The metrics of an audit that has ended. There are none before.
DIFFERENT, UNKNOWN, AUDITED_IMAGES = "Different", "Unknown", "AuditedImages"


def add_metrics(metrics: Metrics, report: PiecesReport) -> None:
    """Add what an audit has found that has ended."""
    metrics.add_metric(DIFFERENT, "Count", report.different)
    metrics.add_metric(UNKNOWN, "Count", int(report.audit.result == "unknown"))
    metrics.add_metric(AUDITED_IMAGES, "Count", report.audit.table)


def do_piece(
    clients: Clients,
    schedule: Schedule,
    *,
    rate: float,
    remaining: Callable[[], float],
    longest: float,
    logger: Logger,
    metrics: Metrics,
    watermark: float = WATERMARK,
) -> Worked:
    """Work on the audit as far as the time reaches; log what was done, publish what was found.

    Args:
        clients: the stack's.
        schedule: when an audit begins.
        rate: read units a second, at most.
        remaining: the seconds that are left for work.
        longest: the seconds after which this invocation has certainly ended.
        logger: gets one line, unless nothing was to do.
        metrics: gets the metrics of an audit that has ended.
        watermark: see `lockstep.audit.pieces.pieces.Pieces`.
    """

    def publish(report: PiecesReport) -> None:
        add_metrics(metrics, report)
        metrics.flush_metrics()

    try:
        worked = work(
            clients,
            schedule,
            rate=rate,
            watermark=watermark,
            remaining=remaining,
            until=clients.clock.now() + longest,
            publish=publish,
        )
    except LeaseLostError:
        logger.warning("another invocation has taken over the audit")
        return Worked("idle")
    if worked.done != "idle":
        logger.info(worked.done, extra={"audit": msgspec.to_builtins(worked)})
    return worked
