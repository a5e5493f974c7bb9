"""Troubles of a stack that set off alarms; each function causes that of one period."""

import contextlib
import threading
import time
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import urllib3
from aws_lambda_powertools import Logger, Metrics

from lockstep.audit.pieces.schedule import Every
from lockstep.nightly.piece import do_piece
from lockstep.stack.clients import Clients
from lockstep.stack.stack import LOCAL_NAMESPACE
from tests.builders import largest
from tests.flow.alarm_stage import PATIENCE_SECONDS, Stage

LANES = 10
# More than a shard answers in a second.
AT_ONCE = 10
# A search takes over two seconds while the index answers nothing.
STUCK_SECONDS = 2.5


def nothing() -> None:
    """The trouble goes on by itself."""


def no_room(template: dict[str, Any]) -> None:
    """No function may run, and no event source mapping has a place for failure documents."""
    template["Globals"]["Function"]["ReservedConcurrentExecutions"] = 0
    search = template["Resources"]["SearchImages"]["Properties"]
    search["ReservedConcurrentExecutions"] = 0
    template["Parameters"]["ParallelizationFactor"]["Default"] = LANES
    without_destination(template)


def without_destination(template: dict[str, Any]) -> None:
    """No event source mapping has a place for failure documents."""
    _remove(template["Resources"], "DestinationConfig")


def _remove(node: Any, name: str) -> None:
    match node:
        case dict():
            node.pop(name, None)
            for value in node.values():
                _remove(value, name)
        case list():
            for value in node:
                _remove(value, name)


def images_of_lanes() -> Iterator[str]:
    """An image for each lane of a mapping, which waits longer after each refusal."""
    taken = set[int]()
    for number in range(1_000):
        image_id = f"lane-{number}"
        lane = zlib.crc32(image_id.encode()) % LANES
        if lane not in taken:
            taken.add(lane)
            yield image_id


def write_too_much(stage: Stage, image_id: str) -> None:
    """Put more than a shard takes in a second."""
    record = {"Data": largest(image_id), "PartitionKey": image_id}
    answer = stage.clients.kinesis.put_records(
        StreamName=stage.stack.stream,
        Records=[record] * 5,  # type: ignore[list-item]
    )
    assert answer["FailedRecordCount"] > 0


def read_too_often(stage: Stage) -> None:
    """Read until the shard refuses it."""
    client, stream = stage.clients.kinesis, stage.stack.stream
    (shard,) = client.list_shards(StreamName=stream)["Shards"]
    iterator = client.get_shard_iterator(
        StreamName=stream, ShardId=shard["ShardId"], ShardIteratorType="LATEST"
    )["ShardIterator"]

    def is_refused(_: int) -> bool:
        try:
            client.get_records(ShardIterator=iterator, Limit=1)
        except client.exceptions.ProvisionedThroughputExceededException:
            return True
        return False

    with ThreadPoolExecutor(AT_ONCE) as readers:
        while not any(readers.map(is_refused, range(AT_ONCE))):
            pass


def search(stage: Stage) -> int:
    """The status of a search, as soon as the API accepts connections."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            return urllib3.request(
                "GET", f"{stage.stack.endpoints.search}/?q=thames", retries=False, timeout=90
            ).status
        except urllib3.exceptions.HTTPError:
            assert time.monotonic() < deadline
            time.sleep(0.1)


def search_slowly(stage: Stage) -> None:
    """Search while the index does not answer, until a search has taken long enough."""
    while not stage.breaching("search-slow"):
        searching = threading.Thread(target=search, args=(stage,))
        with stage.opensearch_stuck():
            searching.start()
            searching.join(STUCK_SECONDS)
        searching.join()
        stage.wait_until(lambda: stage.breaching("search-slow") is not None)


def audit(stage: Stage) -> None:
    """Run a whole audit, by the code of the process that runs one every night."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    log = stage.state / "logs" / "nightly-audit.log"
    with log.open("a") as written, contextlib.redirect_stdout(written):
        metrics = Metrics(namespace=LOCAL_NAMESPACE, service="nightly_audit")
        logger = Logger(service="nightly_audit", stream=written)
        done = "idle"
        while done != "ended":
            assert time.monotonic() < deadline
            done = do_piece(
                Clients(stage.stack),
                Every(0),
                rate=1_000_000.0,
                remaining=lambda: PATIENCE_SECONDS,
                longest=2 * PATIENCE_SECONDS,
                logger=logger,
                metrics=metrics,
            ).done
