"""The report: what an operator sees of a delivery, in the log and as metrics."""

from collections.abc import Callable, Mapping
from typing import Protocol

from shared.deliver import Delivery


class Log(Protocol):
    """The one call of a structured logger that is needed here."""

    def warning(self, msg: object, /, *, extra: Mapping[str, object]) -> None:
        """One line, with these fields beside the message."""
        ...


def report(delivery: Delivery, *, log: Log, metric: Callable[[str, str, float], None]) -> None:
    """Tell what became of a batch: counts and lag as metrics, whatever went wrong as log lines.

    Args:
        delivery: what became of it.
        log: takes a line for each quarantined record and each cause of failure.
        metric: takes name, CloudWatch unit and value.
    """
    for fate, count in delivery.counts.items():
        metric(fate, "Count", count)
    if delivery.lag_ms is not None:
        metric("Lag", "Milliseconds", delivery.lag_ms)
    for record in delivery.quarantined:
        log.warning(
            "quarantined",
            extra={
                "quarantine_key": record.key,
                "image_id": record.image_id,
                "image_version": record.version,
                "reason": record.reason,
                "detail": record.detail,
            },
        )
    for why, count in delivery.failures.items():
        log.warning(
            "not settled, comes again",
            extra={"cause": why, "records": count, "checkpoint": delivery.checkpoint},
        )
