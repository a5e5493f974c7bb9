"""How the handlers of custom resources answer CloudFormation: always, with one line.

Protocol: https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/crpg-ref.html
"""

import time
from collections.abc import Callable, Mapping
from traceback import format_exception
from typing import Any

import msgspec
import urllib3
from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from shared.shortened import shortened

# CloudFormation accepts an answer of at most this size.
MOST_BYTES = 4096
LONGEST_REASON, SHORTEST_REASON = 1000, 100
LONGEST_TRACEBACK = 10_000
# Of the answer's request: CloudFormation waits for it.
_RETRIES = urllib3.Retry(
    total=5, backoff_factor=0.5, status_forcelist=(500, 502, 503, 504), allowed_methods={"PUT"}
)


# Between two attempts.
PAUSE_SECONDS = 5


def answer(
    event: Mapping[str, Any],
    context: LambdaContext,
    done: Callable[[], str],
    logger: Logger,
    data: Mapping[str, str] | None = None,
) -> None:
    """Do what CloudFormation asks, and answer whatever happens: otherwise it waits an hour.

    Args:
        event: the request of CloudFormation.
        context: the invocation's.
        done: does it; returns what was done. Any exception is answered as a failure.
        logger: gets the reason, and the traceback of a failure.
        data: what `Fn::GetAtt` gets of the resource, unless it failed.
    """
    try:
        status, reason = "SUCCESS", done()
        got = data or {}
    except Exception as error:  # noqa: BLE001 - CloudFormation is told of every one
        traceback = "".join(format_exception(error))
        logger.error(  # noqa: TRY400 - `exception` writes the traceback whole
            "the deployment's request failed",
            extra={"traceback": shortened(traceback, LONGEST_TRACEBACK)},
        )
        status, got = "FAILED", {}
        reason = f"{type(error).__name__}: {error} (log: {context.log_group_name})"
    reason = shortened(reason, LONGEST_REASON)
    logger.info(reason)
    # The URL is signed for a request without a content type.
    urllib3.request(
        "PUT",
        event["ResponseURL"],
        body=_body(event, status, reason, got),
        headers={"Content-Type": ""},
        timeout=5,
        retries=_RETRIES,
    )


def retried[T](
    attempt: Callable[[], T],
    *,
    may_pass: Callable[[Exception], bool],
    context: LambdaContext,
    attempt_seconds: float,
    logger: Logger,
) -> T:
    """Try again while there is time, if what failed may pass: new policies and roles take a while.

    Args:
        attempt: what to try.
        may_pass: whether the same attempt may succeed soon, given its exception.
        context: the invocation's.
        attempt_seconds: an attempt begins again only while this much time is left, because
            CloudFormation must still get its answer.
        logger: gets the cause of each attempt that failed.

    Raises:
        Exception: the last attempt's.
    """
    while True:
        try:
            return attempt()
        except Exception as error:
            left = context.get_remaining_time_in_millis() / 1000 - PAUSE_SECONDS
            if left < attempt_seconds or not may_pass(error):
                raise
            logger.info("the store does not answer yet", extra={"cause": str(error)})
            time.sleep(PAUSE_SECONDS)


def _body(event: Mapping[str, Any], status: str, reason: str, data: Mapping[str, str]) -> bytes:
    """The answer to a request of CloudFormation, with as much of the reason as it accepts."""
    said = {
        "Status": status,
        "Reason": reason,
        # Constant: if it changed, CloudFormation would delete the old resource.
        "PhysicalResourceId": event.get("PhysicalResourceId", event["LogicalResourceId"]),
        "StackId": event["StackId"],
        "RequestId": event["RequestId"],
        "LogicalResourceId": event["LogicalResourceId"],
        **({"Data": data} if data else {}),
    }
    body = msgspec.json.encode(said)
    if len(body) <= MOST_BYTES or len(reason) <= SHORTEST_REASON:
        return body
    brief = shortened(reason, max(SHORTEST_REASON, len(reason) // 2))
    return _body(event, status, brief, data)
