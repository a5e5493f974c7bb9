"""The steps that all consumers share, from an invocation to its batch response."""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache, partial
from typing import TYPE_CHECKING, Any, Protocol, cast, get_args

from aws_lambda_powertools import Metrics
from aws_lambda_powertools.utilities.typing import LambdaContext

from doors.batch import age_ms_of, hottest_of, image_ids_of, place_of
from doors.clock import SYSTEM_CLOCK
from doors.log import new_logger
from doors.logged_ids import LoggedIds, logged_ids
from doors.quarantine import BucketQuarantine, disable_expect_header
from shared.batch import BatchResponse, Delivery, Fate
from shared.clock import Clock
from shared.deliver import deliver
from shared.envelope import IMAGE_EVENTS, Envelope
from shared.quarantine import Quarantine
from shared.sink import MisconfiguredError, Sink, SinkOf
from shared.stamps import LATE_EVENT

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

logger = new_logger()
metrics = Metrics()

# The timeouts are short: after a slow answer, time must remain for the other records of a batch.
CONNECT_SECONDS, READ_SECONDS = 1, 4
ATTEMPTS = 2
# The longest wait of botocore between two attempts.
PAUSE_SECONDS = 1
# The first put also makes the client, on the processor of a small function.
MAKING_SECONDS = 2
# A line names at most so many records that are not settled.
MOST_NAMED = 50
# The keys of a line that count records, and what each counts.
_FATES: Mapping[str, Fate] = {fate.lower(): fate for fate in get_args(Fate)}


@cache
def quarantine() -> BucketQuarantine:
    """The quarantine, in the bucket that the environment names.

    Its client is made for the first record that is quarantined: few invocations have one, and it
    costs a tenth of a cold start.
    """
    client = cache(_quarantine_client)
    return BucketQuarantine(
        lambda **of_object: client().put_object(**of_object),
        os.environ["QUARANTINE_BUCKET"],
        longest_put=ATTEMPTS * (CONNECT_SECONDS + READ_SECONDS) + PAUSE_SECONDS + MAKING_SECONDS,
    )


def _quarantine_client() -> "S3Client":
    import boto3  # noqa: PLC0415 - slow, and seldom needed
    from botocore.config import Config  # noqa: PLC0415

    config = Config(
        connect_timeout=CONNECT_SECONDS,
        read_timeout=READ_SECONDS,
        retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
    )
    client = boto3.client("s3", config=config)
    disable_expect_header(client)
    return client


def _observed[**P](handle: Callable[P, BatchResponse]) -> Callable[P, BatchResponse]:
    """Add the id of the invocation to each log line, and write the metrics at the end."""
    return cast(
        "Callable[P, BatchResponse]", metrics.log_metrics(logger.inject_lambda_context(handle))
    )


class Delivers[C](Protocol):
    """A function that writes a batch to a store, such as `shared.deliver.deliver`."""

    def __call__(
        self,
        records: Iterable[Mapping[str, Any]],
        *,
        to: SinkOf[C],
        quarantine: Quarantine,
        function: str,
        clock: Clock,
        remaining: Callable[[], float],
    ) -> Delivery:
        """Write the batch, and say what happened to it."""
        ...


def consume(
    event: dict[str, Any],
    context: LambdaContext,
    *,
    sink: Callable[[], Sink],
    function: str,
    envelope: Envelope = IMAGE_EVENTS,
) -> BatchResponse:
    """Write one batch to a store of images; write logs and metrics of the result.

    Args:
        event: the event of the invocation: `Records` has a batch of one shard.
        context: the context of the invocation.
        sink: returns the sink of the store; the first call creates it.
        function: this consumer's name in the quarantine.
        envelope: the form of the records.

    Raises:
        MisconfiguredError: the deployment is broken; no record of the batch is acknowledged.
    """
    deliver_images = partial(deliver, envelope=envelope)
    return consume_with(event, context, sink=sink, function=function, deliver=deliver_images)


@_observed
def consume_with[C](
    event: dict[str, Any],
    context: LambdaContext,
    *,
    sink: Callable[[], SinkOf[C]],
    function: str,
    deliver: Delivers[C],
) -> BatchResponse:
    """Write one batch to any store; write logs and metrics of the result.

    Args:
        event: the event of the invocation: `Records` has a batch of one shard.
        context: the context of the invocation.
        sink: returns the sink of the store; the first call creates it.
        function: this consumer's name in the quarantine.
        deliver: writes the batch.

    Raises:
        MisconfiguredError: the deployment is broken; no record of the batch is acknowledged.
    """
    records = event["Records"]
    # Every line of this invocation has them.
    logger.append_keys(**place_of(records))
    ids = logged_ids(image_ids_of(records))
    began = SYSTEM_CLOCK.elapsed()
    try:
        delivery = deliver(
            records,
            to=sink(),
            quarantine=quarantine(),
            function=function,
            clock=SYSTEM_CLOCK,
            remaining=lambda: context.get_remaining_time_in_millis() / 1000,
        )
    except MisconfiguredError as error:
        logger.error(  # noqa: TRY400 - the traceback would repeat what the store has answered
            "misconfigured: no record of this batch is acknowledged",
            extra={"cause": ids.text(str(error))},
        )
        raise
    report(delivery, ids)
    log_batch(
        delivery,
        age_ms=age_ms_of(records, SYSTEM_CLOCK.now()),
        duration_ms=round((SYSTEM_CLOCK.elapsed() - began) * 1000),
        hottest=[(ids.shown(image_id), count) for image_id, count in hottest_of(records)],
    )
    return delivery.response()


def report(delivery: Delivery, ids: LoggedIds) -> None:
    """Write metrics of counts and lag; log each quarantined record, late event and cause.

    Args:
        delivery: what happened.
        ids: how the lines show the ids of images.
    """
    for fate, count in delivery.counts.items():
        metrics.add_metric(fate, "Count", count)
    if delivery.lag_ms is not None:
        metrics.add_metric("Lag", "Milliseconds", delivery.lag_ms)
    for record in delivery.quarantined:
        image_id = record.image_id
        logger.warning(
            "quarantined",
            extra={
                "quarantine_key": record.key,
                "image_id": None if image_id is None else ids.shown(image_id),
                "image_version": record.version,
                "sequence_number": record.sequence_number,
                "reason": record.reason,
                # A record that is no valid event may contain any id.
                "detail": ids.text(record.detail, known=image_id is not None),
            },
        )
    outrun = sum(record.reason == "outrun" for record in delivery.quarantined)
    if outrun:
        metrics.add_metric("Outrun", "Count", outrun)
    if delivery.out_of_order:
        metrics.add_metric("OutOfOrder", "Count", delivery.out_of_order)
    if delivery.late:
        metrics.add_metric("Late", "Count", len(delivery.late))
    for change in delivery.late:
        logger.warning(
            LATE_EVENT,
            extra={
                "image_id": ids.shown(change.image_id),
                "image_version": change.version,
                "sequence_number": change.sequence_number,
                "occurred_at": change.occurred_at,
                "arrived_at": change.arrived_at,
            },
        )
    for cause, count in delivery.failures.items():
        logger.warning(
            "not settled, Lambda retries",
            extra={
                "cause": ids.text(cause),
                "unsettled_records": count,
                "checkpoint": delivery.checkpoint,
            },
        )


def log_batch(
    delivery: Delivery,
    *,
    age_ms: int | None,
    duration_ms: int,
    hottest: Sequence[tuple[str, int]] = (),
) -> None:
    """Log what happened to a batch: one line, also if all is well.

    Args:
        delivery: what happened.
        age_ms: how long ago the first record of the batch arrived.
        duration_ms: how long the delivery took.
        hottest: the images with the most records of the batch, as lines show their ids.
    """
    logger.info(
        "batch",
        extra={
            **{name: delivery.counts.get(fate, 0) for name, fate in _FATES.items()},
            "checkpoint": delivery.checkpoint,
            "unsettled": delivery.unsettled[:MOST_NAMED] or None,
            "age_ms": age_ms,
            "lag_ms": delivery.lag_ms,
            "duration_ms": duration_ms,
            **({"hottest": [{"image_id": a, "records": n} for a, n in hottest]} if hottest else {}),
        },
    )
