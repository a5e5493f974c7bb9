"""The Lambda handler of the nightly audit. A schedule invokes it every few minutes."""

import os
from typing import Any

import boto3
from aws_lambda_powertools import Metrics
from aws_lambda_powertools.utilities.typing import LambdaContext

from doors.log import new_logger
from lockstep.audit.pieces.schedule import Nightly
from lockstep.nightly.piece import do_piece
from lockstep.stack.clients import Clients
from lockstep.stack.stack import read_deployed

logger = new_logger()
metrics = Metrics()

# The last page, its segment and the state need less.
MARGIN_SECONDS = 30


@logger.inject_lambda_context
def handle(_event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Begin an audit if one is due, or go on with the present one."""
    session = boto3.Session()
    stack = read_deployed(
        session.client("cloudformation"), os.environ["STACK_NAME"], session.region_name
    )
    worked = do_piece(
        Clients(stack),
        Nightly(int(os.environ["AUDIT_HOUR"])),
        rate=float(os.environ["AUDIT_READ_UNITS"]),
        remaining=lambda: context.get_remaining_time_in_millis() / 1000 - MARGIN_SECONDS,
        longest=context.get_remaining_time_in_millis() / 1000,
        logger=logger,
        metrics=metrics,
    )
    return {"done": worked.done, "run": worked.run}
