"""Update one image 1,000 times a second on a local stack: is the lag bounded, and what is written?

    python -m benchmarks.hot_image [--seconds 600] [--rate 1000] [--others 60]

Beside the hot image, `--others` events a second go to images of their own. The stack has one shard,
so all wait for the same lane. The records are put as any producer may put them, without waiting for
the answer of the one before: the versions decide.

For each minute, the program prints what each consumer has logged of its batches: records, batches,
the writes that remain after folding, and the age of the first record of a batch when the batch
ended (median and highest). At the end it waits for both consumers, audits, and compares the
version in each store with the last one. A short run (`--seconds 30`) shows that all works.

The last results are in docs/internals/hot-image.md.
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from benchmarks.batch_lines import batch_lines, lockstep
from benchmarks.volume import Run
from lockstep.stack.clients import Clients
from lockstep.stack.stack import read_local
from shared.event import Event, Image, encode
from shared.quarantine import CONSUMERS
from shared.stamps import stamp_at, time_of

if TYPE_CHECKING:
    from types_boto3_kinesis.type_defs import PutRecordsRequestEntryTypeDef

HOT = "hot"
REQUESTS_A_SECOND = 20
MINUTE = 60
# So that an event is as large as those of the other benchmarks.
DESCRIPTION = "A view of the river from the hill. " * 9


def event(image_id: str, version: int) -> Event:
    """An update that makes the image differ from each other version."""
    image = Image(name=f"Thames {version}", description=DESCRIPTION, tags=("river", "hill"))
    return Event("image.updated", image_id, version, time_of(version), image)


def put(clients: Clients, *, seconds: float, rate: int, others: int) -> tuple[int, int, float]:
    """Put the events at this rate.

    Args:
        clients: of the stack.
        seconds: how long.
        rate: updates of the hot image a second.
        others: events of other images a second.

    Returns:
        How many records were put, the last version of the hot image, and the seconds.
    """
    began, number, version = time.monotonic(), 0, 0
    for request in range(round(seconds * REQUESTS_A_SECOND)):
        time.sleep(max(0.0, began + request / REQUESTS_A_SECOND - time.monotonic()))
        records: list[PutRecordsRequestEntryTypeDef] = []
        ids = [HOT] * (rate // REQUESTS_A_SECOND)
        ids += [f"other-{number + at}" for at in range(others // REQUESTS_A_SECOND)]
        number += len(ids)
        for image_id in ids:
            # The clock alone would give some of them the same version.
            version = max(stamp_at(time.time()), version + 1)
            data = encode(event(image_id, version))
            records.append({"Data": data, "PartitionKey": image_id})
            if image_id == HOT:
                last = version
        answer = clients.kinesis.put_records(StreamName=clients.stack.stream, Records=records)
        if answer["FailedRecordCount"]:
            raise RuntimeError("the stream refuses a record")
    return number, last, time.monotonic() - began


def rows(state: Path, began: float) -> Iterator[str]:
    """A line for each minute and consumer, in Markdown."""
    yield "| minute | consumer | records | batches | written | age, median | age, highest |"
    yield "| ---: | --- | ---: | ---: | ---: | ---: | ---: |"
    for consumer in CONSUMERS:
        by_minute = defaultdict(list)
        for line in batch_lines(state, consumer, since=began):
            by_minute[int(line.at - began) // MINUTE + 1].append(line)
        for minute, lines in sorted(by_minute.items()):
            ages = [(one.age_ms or 0) / 1000 for one in lines]
            yield (
                f"| {minute} | {consumer} | {sum(one.records for one in lines):,} "
                f"| {len(lines):,} | {sum(one.applied for one in lines):,} "
                f"| {statistics.median(ages):.1f} s | {max(ages):.1f} s |"
            )


def versions(clients: Clients) -> tuple[int, int]:
    """The version of the hot image in the table and in the index."""
    item = clients.dynamodb.get_item(
        TableName=clients.stack.table, Key={"image_id": {"S": HOT}}, ConsistentRead=True
    )["Item"]
    document = clients.opensearch.get(index=clients.stack.index, id=HOT)
    return int(item["version"]["N"]), document["_version"]


def processor_seconds(state: Path) -> Mapping[str, float]:
    """The processor time of each kind of process of the stack so far."""
    run = Run()
    run.sample(state)
    return run.processor_by_name()


def main() -> None:
    """Run the stack, put the events, and print the figures.

    Raises:
        SystemExit: a store does not have the last version, or the stores differ.
    """
    parser = argparse.ArgumentParser(prog="python -m benchmarks.hot_image")
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--rate", type=int, default=1_000)
    parser.add_argument("--others", type=int, default=60)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="lockstep-hot-") as folder:
        state = Path(folder) / "state"
        lockstep(state, "up", "--detach", "--shards", "1")
        try:
            clients = Clients(read_local(state))
            load, began, before = os.getloadavg()[0], time.time(), processor_seconds(state)
            number, last, took = put(
                clients, seconds=given.seconds, rate=given.rate, others=given.others
            )
            ended = time.monotonic()
            lockstep(state, "status", "--wait", "3000")
            waited = time.monotonic() - ended
            after = processor_seconds(state)
            spent = {name: after[name] - before.get(name, 0.0) for name in after}
            print(
                f"{psutil.cpu_count()} cores; load {load:.1f} before, {os.getloadavg()[0]:.1f} now"
            )
            print(f"{number:,} records in {took:.0f} s: {number / took:,.0f} a second")
            print("\n".join(rows(state, began)))
            stats = clients.opensearch.indices.stats(index=clients.stack.index, metric="indexing")
            indexed = stats["_all"]["primaries"]["indexing"]["index_total"]
            print(f"both consumers caught up {waited:.1f} s after the last record")
            print(f"OpenSearch counts {indexed:,} written documents")
            for name, seconds in sorted(spent.items(), key=lambda one: -one[1]):
                print(f"{name}: {seconds:.1f} s of processor time")
            lockstep(state, "audit")
            held = versions(clients)
        finally:
            lockstep(state, "down")
    if held != (last, last):
        sys.exit(f"the last version is {last}, the stores have {held}")
    print("both stores have the last version, and the audit says: equal")


if __name__ == "__main__":
    main()
