"""A function for tests: writes down what it gets, and does what a record's data tells it to.

`raise`, `crash`, `hang` and `report` as the first word of a record's data: always. With `once`
behind it (`crash once`): only when it is seen for the first time.
"""

import base64
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

OUT = Path(__file__).parents[2] / os.environ["OUT"]


def handle(event: dict[str, Any], context: Any) -> dict[str, Any]:
    records = [record["kinesis"] for record in event["Records"]]
    texts = [base64.b64decode(record["data"]).decode() for record in records]
    numbers = [record["sequenceNumber"] for record in records]
    seen = set(_seen())
    _write(
        {
            "pid": os.getpid(),
            "texts": texts,
            "numbers": numbers,
            "shard": event["Records"][0]["eventID"].partition(":")[0],
            "environment": dict(os.environ),
            "context": {
                "function_name": context.function_name,
                "function_version": context.function_version,
                "invoked_function_arn": context.invoked_function_arn,
                "memory_limit_in_mb": context.memory_limit_in_mb,
                "aws_request_id": context.aws_request_id,
                "log_group_name": context.log_group_name,
                "log_stream_name": context.log_stream_name,
                "remaining": context.get_remaining_time_in_millis(),
                "identity": context.identity.cognito_identity_id,
                "client_context": context.client_context,
            },
        }
    )
    for text, number in zip(texts, numbers, strict=True):
        what, _, times = text.partition(" ")
        if times == "once" and text in seen:
            continue
        match what:
            case "raise":
                raise ValueError(text)
            case "crash":
                os._exit(7)
            case "hang":
                time.sleep(60)
            case "report":
                return {"batchItemFailures": [{"itemIdentifier": number}]}
    return {"batchItemFailures": []}


def _seen() -> list[str]:
    if not OUT.exists():
        return []
    return [text for line in OUT.read_text().splitlines() for text in json.loads(line)["texts"]]


def _write(what: dict[str, Any]) -> None:
    sys.stdout.write(f"got {what['texts']}\n")
    with OUT.open("a") as out:
        out.write(json.dumps(what) + "\n")
