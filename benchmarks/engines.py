"""Measure what the check of `Host` and `Origin` costs each local engine for a small request.

    python -m benchmarks.engines [--starts 6] [--pairs 16] [--block 300] [--only ENGINE]
                                 [--minutes 8] (Linux)

Each engine gets the smallest useful request again and again over one connection: GetItem, a search
without hits, and HeadObject. So a cost for each request shows most.

For each start, two processes of the engine run: one with the check, one without. After a warm-up,
they get blocks of requests in turn, in the order A B B A, so that other load of the machine changes
both alike. Only processor time counts, which the kernel measures in nanoseconds; that of the client
is apart. The ratio of a start is the median of the ratios of its pairs of blocks. As a control,
starts of two processes without the check show how much two equal processes differ: by more than the
blocks of one start, so it takes several starts.

An engine that would take too long gets fewer starts, at least one. The column "starts" has how
many it got. The others have the median of the starts, and the bounds of the true median.

The last results are in docs/decisions/2026-11-29-servers-refuse-web-pages.md.
"""

import argparse
import math
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from http import HTTPStatus
from http.client import HTTPConnection
from pathlib import Path

import boto3
from botocore.config import Config
from opensearchpy import OpenSearch

from lockstep.local.engines.class_archives import engine_on_free_ports
from lockstep.local.engines.pins import EngineName
from lockstep.local.processes import Child, start, stop, wait_until_ready
from lockstep.stack.clients import LOCAL_CREDENTIALS
from tools.engines import READY_SECONDS, engine_home

# OpenSearch is the slowest: the last one gets the time that the others leave.
NAMES: tuple[EngineName, ...] = ("dynamodb", "s3", "opensearch")
WARM_UP_BLOCKS = 12
MOST_PERCENT = 5
FEWEST = 6
MOST_OUTSIDE = 0.05
# The command of an engine without the check: its own start class, and its arguments.
PLAIN = {
    "lockstep.engines.DynamoDb": ["com.amazonaws.services.dynamodbv2.local.main.ServerRunner"],
    "lockstep.engines.S3": ["org.gaul.s3proxy.Main", "--properties"],
}


def request_of(name: EngineName, endpoint: str) -> tuple[str, str, dict[str, str], bytes]:
    """A small request that this engine can answer: its method, path, headers and body."""
    session = boto3.Session(LOCAL_CREDENTIALS, LOCAL_CREDENTIALS, region_name="us-east-1")
    match name:
        case "opensearch":
            OpenSearch(endpoint).indices.create(index="things")
            return "GET", "/things/_search?size=0", {}, b""
        case "dynamodb":
            session.client("dynamodb", endpoint_url=endpoint).create_table(
                TableName="things",
                KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
                AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
                BillingMode="PAY_PER_REQUEST",
            )
            # DynamoDB Local reads a signature, and accepts each one.
            scope = f"{LOCAL_CREDENTIALS}/20261129/us-east-1/dynamodb/aws4_request"
            headers = {
                "X-Amz-Target": "DynamoDB_20120810.GetItem",
                "Content-Type": "application/x-amz-json-1.0",
                "Authorization": f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, "
                "Signature=0",
            }
            return "POST", "/", headers, b'{"TableName": "things", "Key": {"id": {"S": "1"}}}'
        case "s3":
            paths = Config(s3={"addressing_style": "path"})
            s3 = session.client("s3", endpoint_url=endpoint, config=paths)
            s3.create_bucket(Bucket="things")
            s3.put_object(Bucket="things", Key="1", Body=b"1")
            return "HEAD", "/things/1", {}, b""


class Engine:
    """A running engine, and the processor time of its requests."""

    def __init__(self, name: EngineName, folder: Path, *, checks: bool) -> None:
        """Start it, with the check or without."""
        self._name = name
        home = engine_home(name)
        if name == "opensearch":
            # Its check is a file in its folder. Both variants get a copy, so neither has an archive
            # of classes.
            copy = folder / "home"
            shutil.copytree(home, copy, copy_function=os.link)
            home = copy
        service = engine_on_free_ports(name, home, folder / "state")
        if not checks:
            shutil.rmtree(home / "modules" / "local-names", ignore_errors=True)
            command: list[str] = []
            for word in service.command:
                command += PLAIN.get(word, [word])
            service = replace(service, command=command)
        self._address = service.host, service.port
        self.child: Child = start(service)
        # The clock of a process, as clock_getcpuclockid(3) gives it.
        self._clock = (~self.child.process.pid << 3) | 2

    def connect(self) -> None:
        """Wait until it is ready, and create what the requests need."""
        wait_until_ready([self.child], seconds=READY_SECONDS)
        host, port = self._address
        self._request = request_of(self._name, f"http://{host}:{port}")
        # The client of the standard library: boto3 takes several times as long as the engine.
        self._connection = HTTPConnection(host, port)

    def microseconds(
        self, requests: int, more: Sequence[tuple[str, str]] = ()
    ) -> tuple[float, float]:
        """The processor time of the engine and of the client for a request, in microseconds.

        Args:
            requests: how many to send.
            more: further headers of each request; a name may occur several times.

        Raises:
            RuntimeError: the engine refuses the request.
        """
        method, path, headers, body = self._request
        engine, client = time.clock_gettime_ns(self._clock), time.process_time_ns()
        for _ in range(requests):
            self._connection.putrequest(method, path)
            for name, value in (*headers.items(), ("Content-Length", str(len(body))), *more):
                self._connection.putheader(name, value)
            self._connection.endheaders(body)
            answer = self._connection.getresponse()
            answer.read()
            if answer.status != HTTPStatus.OK:
                raise RuntimeError(str(answer.status))
        spent = time.clock_gettime_ns(self._clock) - engine, time.process_time_ns() - client
        return spent[0] / requests / 1000, spent[1] / requests / 1000


def ratio_of_start(
    name: EngineName, *, checks: bool, first: bool, pairs: int, block: int
) -> tuple[float, float, float]:
    """Start two processes and compare them.

    Args:
        name: of the engine.
        checks: whether one of them has the check; the other one never has it.
        first: whether that one starts first.
        pairs: of blocks.
        block: requests of a block.

    Returns:
        The ratio; the median of the engine without the check, and of the client, in microseconds
        for a request.
    """
    with ExitStack() as running:
        engines: dict[bool, Engine] = {}
        for is_tried in (first, not first):
            folder = Path(running.enter_context(tempfile.TemporaryDirectory(prefix="engines-")))
            engines[is_tried] = Engine(name, folder, checks=is_tried and checks)
            running.callback(stop, [engines[is_tried].child])
        for engine in engines.values():
            engine.connect()
        ratios, plain, client = [], [], []
        for number in range(WARM_UP_BLOCKS + pairs):
            spent = {}
            for is_tried in (True, False) if number % 2 else (False, True):
                spent[is_tried], own = engines[is_tried].microseconds(block)
                client.append(own)
            if number >= WARM_UP_BLOCKS:
                ratios.append(spent[True] / spent[False])
                plain.append(spent[False])
    return statistics.median(ratios), statistics.median(plain), statistics.median(client)


def bounds(ratios: Sequence[float]) -> tuple[float, float]:
    """The bounds of the true median with a probability of at least 95 %, if there are 6 or more.

    Whatever the distribution, each value is below the true median as often as above it. So of n
    values in order, the k-th and the k-th from the end enclose it, unless fewer than k of them are
    on one side, as fewer than k of n coins show heads.
    """
    count, outside, at = len(ratios), 0.0, 0
    while at < count // 2:
        outside += 2 * math.comb(count, at) / 2**count
        if outside > MOST_OUTSIDE:
            break
        at += 1
    least = max(at - 1, 0)
    ordered = sorted(ratios)
    return ordered[least], ordered[count - 1 - least]


def percent(ratios: Sequence[float]) -> str:
    """The median of the starts, and its bounds, in percent above 1."""
    middle, lowest, highest = (
        f"{(one - 1) * 100:+.1f}" for one in (statistics.median(ratios), *bounds(ratios))
    )
    return f"{middle} % ({lowest} to {highest})"


def verdict(ratios: Sequence[float]) -> str:
    """Whether the check costs at most MOST_PERCENT. Fewer than 6 starts decide nothing."""
    limit = 1 + MOST_PERCENT / 100
    lowest, highest = bounds(ratios)
    if len(ratios) < FEWEST:
        return "open"
    if highest <= limit:
        return "yes"
    return "no" if lowest > limit else "open"


def rounds(starts: int, until: float) -> Iterator[int]:
    """Numbers from 0, at most `starts`; no further one if it would probably end after `until`."""
    longest = 0.0
    for number in range(starts):
        began = time.monotonic()
        if began + longest > until:
            return
        yield number
        longest = max(longest, time.monotonic() - began)


def main() -> None:
    """Measure each engine, and print a line of a table for each."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.engines", description=__doc__)
    parser.add_argument("--starts", type=int, default=6, help="starts with the check, and control")
    parser.add_argument("--pairs", type=int, default=16, help="pairs of blocks of a start")
    parser.add_argument("--block", type=int, default=300, help="requests of a block")
    parser.add_argument("--only", choices=NAMES, help="only this engine")
    parser.add_argument("--minutes", type=float, default=8, help="for all engines together")
    options = parser.parse_args()
    ends = time.monotonic() + options.minutes * 60
    names: Sequence[EngineName] = NAMES if options.only is None else (options.only,)
    print(
        "| engine | starts | µs of the engine | µs of the client | the check | control "
        "| at most 5 % |\n| --- | ---: | ---: | ---: | ---: | ---: | --- |",
        flush=True,
    )
    for at, name in enumerate(names):
        now = time.monotonic()
        found: dict[bool, list[float]] = {True: [], False: []}
        engine, client = [], []
        for number in rounds(options.starts, until=now + (ends - now) / (len(names) - at)):
            for checks, ratios in found.items():
                ratio, plain, own = ratio_of_start(
                    name,
                    checks=checks,
                    first=number % 2 == 0,
                    pairs=options.pairs,
                    block=options.block,
                )
                ratios.append(ratio)
                engine.append(plain)
                client.append(own)
        cells = [
            f"{len(found[True])}",
            f"{statistics.median(engine):.0f}",
            f"{statistics.median(client):.0f}",
            percent(found[True]),
            percent(found[False]),
            verdict(found[True]),
        ]
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
