"""The Lambda handler that purges the table in Table Store. A schedule invokes it.

If the time does not reach for the whole table, the next invocation goes on: the bucket of the
quarantine keeps the position.
"""

import os
from collections.abc import Callable, Mapping
from typing import Any, Final

import boto3
import msgspec
from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.config import Config

from doors.clock import SYSTEM_CLOCK
from doors.log import new_logger
from functions.write_to_tablestore.connect import REQUEST_SECONDS, connect
from functions.write_to_tablestore.purge import PAUSES, PurgedTombstones, TombstonePurge
from functions.write_to_tablestore.secret import stored_secret
from functions.write_to_tablestore.settings import credentials_in, settings_in
from functions.write_to_tablestore.tombstones import Tombstones
from shared.clock import Clock
from shared.pace import Pace
from shared.sink import MisconfiguredError

logger = new_logger()
metrics = Metrics()

POSITION: Final = "purge/position.json"
# All attempts of a read and of a deletion, and the time to keep the position.
MARGIN_SECONDS: Final = 2 * (sum(PAUSES) + (1 + len(PAUSES)) * REQUEST_SECONDS) + 30
_METRICS: Final = {
    "purged": "Purged",
    "failed": "PurgeFailed",
    "malformed": "MalformedTombstones",
}


class _Kept(msgspec.Struct, frozen=True):
    """Where the next purge of this table goes on."""

    table: str
    position: str


@metrics.log_metrics
@logger.inject_lambda_context
def handle(_event: Mapping[str, Any], context: LambdaContext) -> None:
    """Purge the table, from where the last invocation stopped."""
    purge(
        os.environ,
        boto3.client,
        SYSTEM_CLOCK.steady(),
        remaining=lambda: context.get_remaining_time_in_millis() / 1000,
        logger=logger,
        metrics=metrics,
    )


def purge(
    environment: Mapping[str, str],
    client: Callable[..., Any],
    clock: Clock,
    *,
    remaining: Callable[[], float],
    logger: Logger,
    metrics: Metrics,
) -> PurgedTombstones:
    """Purge as far as the time reaches; log what was done, and count it.

    Args:
        environment: the settings of the consumer, the bucket of its quarantine, and the rate.
        client: makes a client of a service of AWS, as `boto3.client` does.
        clock: time.
        remaining: the seconds until Lambda ends this invocation.
        logger: gets one line.
        metrics: gets the counts.

    Raises:
        RequestFailedError: Table Store cannot be read for too long.
        MisconfiguredError: no request can succeed until the deployment is corrected.
    """
    its = settings_in(environment)
    secret = stored_secret(environment.get("OTS_SECRET_ARN"), client)
    replica = connect(its, credentials_in(environment, secret), REQUEST_SECONDS)
    config = Config(connect_timeout=1, read_timeout=4, retries={"total_max_attempts": 2})
    s3, bucket = client("s3", config=config), environment["QUARANTINE_BUCKET"]
    begin = _take(s3, bucket, its.table)
    done = PurgedTombstones(position=begin)

    def on_step(so_far: PurgedTombstones) -> None:
        nonlocal done
        done = so_far

    try:
        TombstonePurge(
            Tombstones(replica, its.table, its.conversion.key_columns),
            clock,
            applies=True,
            reads=Pace(float(environment["PURGE_READ_UNITS"]), clock),
            has_time=lambda: remaining() > MARGIN_SECONDS,
            on_step=on_step,
        ).run(begin)
    except MisconfiguredError:
        # Perhaps the position is one of an earlier key: the next invocation begins again.
        done = msgspec.structs.replace(done, position=None)
        raise
    finally:
        if done.position is not None:
            kept = msgspec.json.encode(_Kept(its.table, done.position))
            s3.put_object(Bucket=bucket, Key=POSITION, Body=kept, ContentType="application/json")
        counts = msgspec.structs.asdict(done)
        del counts["position"]
        logger.info("purge", extra=counts)
        for name, metric in _METRICS.items():
            metrics.add_metric(metric, "Count", counts[name])
    return done


def _take(s3: Any, bucket: str, table: str) -> str | None:
    """Where the last purge of this table stopped; None: at the beginning. Deletes the object."""
    if not s3.list_objects_v2(Bucket=bucket, Prefix=POSITION, MaxKeys=1)["KeyCount"]:
        return None
    body = s3.get_object(Bucket=bucket, Key=POSITION)["Body"].read()
    s3.delete_object(Bucket=bucket, Key=POSITION)
    kept = msgspec.json.decode(body, type=_Kept)
    return kept.position if kept.table == table else None
