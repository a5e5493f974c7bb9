"""The Lambda handler that writes the changes of a DynamoDB table to Table Store."""

import os
from functools import cache, partial
from typing import Any

import boto3
from aws_lambda_powertools.utilities.typing import LambdaContext

from doors.stream import consume_with
from functions.write_to_tablestore.changes import changes_by
from functions.write_to_tablestore.connect import REQUEST_SECONDS, connect
from functions.write_to_tablestore.deliver_rows import deliver_rows
from functions.write_to_tablestore.secret import stored_secret
from functions.write_to_tablestore.settings import (
    ReplicaSettings,
    credentials_in,
    settings_in,
)
from functions.write_to_tablestore.sink import ReplicaTable
from shared.batch import BatchResponse
from shared.sink import MisconfiguredError

FUNCTION = "write_to_tablestore"


@cache
def settings() -> ReplicaSettings:
    """The settings in the environment."""
    return settings_in(os.environ)


@cache
def table() -> ReplicaTable:
    """The sink of the table that the environment names."""
    its = settings()
    credentials = credentials_in(
        os.environ, stored_secret(os.environ.get("OTS_SECRET_ARN"), boto3.client)
    )
    return ReplicaTable(
        connect(its, credentials, REQUEST_SECONDS),
        its.table,
        its.conversion.key_columns,
        longest_request=REQUEST_SECONDS,
        deletions=its.deletions,
        patient=partial(connect, its, credentials),
    )


def handle(event: dict[str, Any], context: LambdaContext) -> BatchResponse:
    """Write one batch of the table's changes to Table Store."""
    try:
        return consume_with(
            event,
            context,
            sink=table,
            function=FUNCTION,
            deliver=lambda records, **to: deliver_rows(
                records, change_in=changes_by(settings().conversion, settings().label), **to
            ),
        )
    except MisconfiguredError:
        table.cache_clear()  # the next invocation reads the secret again
        raise
