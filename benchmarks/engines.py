"""Measure what a small request costs each local engine: its processor time, and requests a second.

    python -m benchmarks.engines [SECONDS]

Each engine gets the smallest useful request again and again, after a warm-up, over one connection:
GetItem, a search without hits, and HeadObject. So a cost for each request shows most. The processor
time of the engine hardly depends on other load.
"""

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import boto3
import psutil
from botocore.config import Config
from opensearchpy import OpenSearch

from lockstep.local.engines.pins import EngineName
from lockstep.local.processes import start, stop, wait_until_ready
from lockstep.stack.clients import LOCAL_CREDENTIALS
from tools.engines import READY_SECONDS, engine_service

SECONDS = 20.0
WARM_UP_SECONDS = 15.0
NAMES: tuple[EngineName, ...] = ("dynamodb", "opensearch", "s3")


def request_of(name: EngineName, endpoint: str) -> Callable[[], object]:
    """A function that sends one small request to the engine at this endpoint."""
    session = boto3.Session(LOCAL_CREDENTIALS, LOCAL_CREDENTIALS, region_name="us-east-1")
    match name:
        case "opensearch":
            opensearch = OpenSearch(endpoint)
            opensearch.indices.create(index="things")
            return lambda: opensearch.search(index="things", body={"size": 0})
        case "dynamodb":
            dynamodb = session.client("dynamodb", endpoint_url=endpoint)
            dynamodb.create_table(
                TableName="things",
                KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
                AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
                BillingMode="PAY_PER_REQUEST",
            )
            return lambda: dynamodb.get_item(TableName="things", Key={"id": {"S": "1"}})
        case "s3":
            paths = Config(s3={"addressing_style": "path"})
            s3 = session.client("s3", endpoint_url=endpoint, config=paths)
            s3.create_bucket(Bucket="things")
            s3.put_object(Bucket="things", Key="1", Body=b"1")
            return lambda: s3.head_object(Bucket="things", Key="1")


def repeat(send: Callable[[], object], seconds: float) -> int:
    """Send requests for this time; return how many."""
    end, count = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        send()
        count += 1
    return count


def main() -> None:
    """Measure each engine, and print a line for each."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else SECONDS
    for name in NAMES:
        with tempfile.TemporaryDirectory(prefix="lockstep-engines-") as folder:
            child = start(engine_service(name, Path(folder)))
            try:
                wait_until_ready([child], seconds=READY_SECONDS)
                send = request_of(name, f"http://{child.service.host}:{child.service.port}")
                repeat(send, WARM_UP_SECONDS)
                process = psutil.Process(child.process.pid)
                before = process.cpu_times()
                count = repeat(send, seconds)
                after = process.cpu_times()
                spent = after.user + after.system - before.user - before.system
                print(f"{name:<11} {spent * 1e6 / count:7.0f} µs {count / seconds:7.0f} /s")
            finally:
                stop([child])


if __name__ == "__main__":
    main()
