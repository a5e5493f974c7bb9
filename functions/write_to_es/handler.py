"""The door of the search index: environment and clients in, batch response out."""

import datetime as dt
import os
import random
import time
from functools import cache
from typing import Any

import boto3
from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.config import Config

from functions.write_to_es.connect import REQUEST_SECONDS, connect
from functions.write_to_es.sink import ImageIndex
from functions.write_to_es.table_changes import envelope_of
from shared.deliver import BatchResponse, Clock, deliver
from shared.quarantine import BucketQuarantine, expecting_nothing
from shared.report import report
from shared.sink import MisconfiguredError

logger = Logger()
metrics = Metrics()

# Short, so that one slow answer leaves time for others.
CONNECT_SECONDS, READ_SECONDS = 1, 4
S3_ATTEMPTS = 2


@cache
def index() -> ImageIndex:
    """The index behind the alias that the environment names."""
    session = boto3.Session()
    client = connect(
        os.environ["OPENSEARCH_ENDPOINT"], session.region_name, session.get_credentials()
    )
    return ImageIndex(client, os.environ["INDEX_ALIAS"], longest_request=REQUEST_SECONDS)


@cache
def quarantine() -> BucketQuarantine:
    """The quarantine that the environment names."""
    config = Config(
        connect_timeout=CONNECT_SECONDS,
        read_timeout=READ_SECONDS,
        retries={"mode": "standard", "total_max_attempts": S3_ATTEMPTS},
    )
    client = boto3.client("s3", config=config)
    client.meta.events.register_last("before-call.s3", expecting_nothing)
    return BucketQuarantine(
        client.put_object,
        os.environ["QUARANTINE_BUCKET"],
        longest_put=S3_ATTEMPTS * (CONNECT_SECONDS + READ_SECONDS) + 1,
    )


@metrics.log_metrics
@logger.inject_lambda_context
def handle(event: dict[str, Any], context: LambdaContext) -> BatchResponse:
    """Bring one batch into the index: of the image stream, or of the table's changes."""
    clock = Clock(
        remaining=lambda: context.get_remaining_time_in_millis() / 1000,
        now=time.time,
        sleep=time.sleep,
        chance=random.random,
    )
    records = event["Records"]
    try:
        delivery = deliver(
            records,
            to=index(),
            quarantine=quarantine(),
            function="write_to_es",
            horizon=dt.timedelta(days=int(os.environ["HORIZON_DAYS"])),
            clock=clock,
            envelope=envelope_of(records, os.environ.get("TABLE_CHANGES_STREAM")),
        )
    except MisconfiguredError:
        logger.exception("misconfigured: nothing of this batch is acknowledged")
        raise
    report(delivery, log=logger, metric=metrics.add_metric)
    return delivery.response()
