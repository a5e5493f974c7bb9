"""The Lambda handler that looks at what has no metric of AWS, every five minutes.

It does what `lockstep status` does: the aliases and the index behind them, an empty index behind a
filled table, and what waits in the quarantine bucket. It changes nothing.
"""

import datetime as dt
import os
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import boto3
from aws_lambda_powertools import Metrics
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.exceptions import BotoCoreError, ClientError
from opensearchpy import OpenSearch

from doors.log import new_logger
from doors.opensearch import signing_credentials
from functions.write_to_es.connect import connect, sink_errors
from functions.write_to_es.index import check_index
from shared.quarantine import FAILURE_DOCUMENTS, PREFIX
from shared.sink import SinkError

logger = new_logger()
metrics = Metrics()

# So many items of the table may be expired tombstones, which the index need not have.
_LOOKED_AT = 100

type Looked = Mapping[str, tuple[str, float]]
"""The unit and the value of each metric that a look has found."""


@metrics.log_metrics
@logger.inject_lambda_context
def handle(_event: Mapping[str, Any], _context: LambdaContext) -> None:
    """Look at everything, and publish what is found."""
    session = boto3.Session()
    opensearch = connect(
        os.environ["OPENSEARCH_ENDPOINT"],
        session.region_name,
        signing_credentials(
            session.get_credentials, session.region_name, os.environ["OPENSEARCH_SIGNING"]
        ),
    )
    alias, table = os.environ["INDEX_ALIAS"], os.environ["TABLE_NAME"]
    bucket = os.environ["QUARANTINE_BUCKET"]
    publish(
        lambda: index_metrics(opensearch, session.client("dynamodb"), alias, table, time.time()),
        lambda: bucket_metrics(session.client("s3"), bucket, dt.datetime.now(dt.UTC)),
    )


def publish(*looks: Callable[[], Looked]) -> None:
    """Publish what each look finds. `Watched` is 1 if all of them could look, otherwise 0."""
    watched = 1
    for look in looks:
        try:
            found = look()
        except (SinkError, ClientError, BotoCoreError) as error:
            watched = 0
            logger.warning("cannot look", extra={"cause": str(error)})
            continue
        for name, (unit, value) in found.items():
            metrics.add_metric(name, unit, value)
    metrics.add_metric("Watched", "Count", watched)


def index_metrics(
    opensearch: OpenSearch, dynamodb: Any, alias: str, table: str, now: float
) -> Looked:
    """How many problems the aliases and the index have, and whether the index is empty.

    If an alias is wrong, nobody knows which index should be filled: then it does not count.

    Args:
        opensearch: the client of the index.
        dynamodb: the client of the table.
        alias: the alias for writing.
        table: the name of the table.
        now: in seconds since 1970.

    Raises:
        SinkError: the index could not be read.
    """
    problems = check_index(opensearch, alias).problems
    for problem in problems:
        logger.warning("wrong alias or index", extra={"problem": problem})
    is_empty = not problems and _is_empty(opensearch, alias) and is_filled(dynamodb, table, now)
    return {
        "AliasProblems": ("Count", len(problems)),
        "IndexEmpty": ("Count", int(is_empty)),
    }


def _is_empty(opensearch: OpenSearch, alias: str) -> bool:
    with sink_errors(alias):
        return bool(opensearch.count(index=alias)["count"] == 0)


def is_filled(dynamodb: Any, table: str, now: float) -> bool:
    """Whether the table has an item that the index should have."""
    page = dynamodb.scan(
        TableName=table, Limit=_LOOKED_AT, ProjectionExpression="image_id, expires_at"
    )
    return any(
        "expires_at" not in item or float(item["expires_at"]["N"]) > now for item in page["Items"]
    )


def bucket_metrics(s3: Any, bucket: str, now: dt.datetime) -> Looked:
    """How many objects and failure documents wait, and the age of the oldest, in seconds."""
    objects = list(_stored_at(s3, bucket, PREFIX))
    documents = list(_stored_at(s3, bucket, FAILURE_DOCUMENTS))
    oldest = min([*objects, *documents], default=now)
    return {
        "QuarantinedObjects": ("Count", len(objects)),
        "FailureDocuments": ("Count", len(documents)),
        "OldestQuarantined": ("Seconds", max(0.0, (now - oldest).total_seconds())),
    }


def _stored_at(s3: Any, bucket: str, prefix: str) -> Iterator[dt.datetime]:
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    for page in pages:
        for one in page.get("Contents", []):
            yield one["LastModified"]
