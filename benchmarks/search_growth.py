"""Measure how search, audit and rebuild grow with the number of images, on 1 and 5 index shards.

    python -m benchmarks.search_growth FOLDER [--images 10000] [--shards 1 5] [--gate | --accept]

The images are those of `benchmarks.synthetic`. A local stack gets them through its stream, so both
stores hold them. Then: what the index needs of the disk, merged to one segment for each shard;
the time of each class of queries, one at a time, each beside the same words as a plain
`multi_match`; the audit of versions and of values; and a rebuild. Of each command, the program
keeps the time and the most memory of each process.

Each step is written to FOLDER/growth.json when it has ended. If the program is started again, it
leaves out what is there. A step that was interrupted begins again.

With `--gate`, the program ends with exit code 1 if what repeats differs from
`benchmarks/search_growth.json`: the bytes of an image in the index, and the queries that an audit
sends to it. Of times, only the ratio to the plain queries is compared. A size that the file does
not have is not compared, and named. `--accept` writes what is measured into the file.

The last results are in docs/internals/search-growth.md.
"""

import argparse
import math
import os
import random
import shutil
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import msgspec
from opensearchpy import OpenSearch

from benchmarks.search import PLAIN_FIELDS
from benchmarks.speed.growth import exponent
from benchmarks.synthetic import Collection, collection
from benchmarks.volume import MEGABYTE, Run, timed
from functions.search_images.search import search
from lockstep.machine.files import write_json
from lockstep.stack.clients import Clients
from lockstep.stack.stack import read_local
from shared.event import encode

RECORD = "growth.json"
ACCEPTED = Path(__file__).with_suffix(".json")
IMAGES, SHARDS = (10_000, 100_000, 1_000_000), (1, 5)
QUERIES, WARM_UP = 100, 20
# Of a query.
SHORTEST_WORD, WORDS = 5, 2
# What may differ from the accepted figures.
REPEATED_OFF, RATIO_OFF = 0.03, 0.3
# What a ratio to the plain queries is called, before the name of the class.
RATIO = "ratio_"


class Command(msgspec.Struct):
    """The seconds of a command, and the most memory of each process in MiB."""

    seconds: float
    memory_mib: dict[str, float]


class Waits(msgspec.Struct):
    """The times of a class of queries in milliseconds, and the median of the plain ones."""

    median: float
    p99: float
    plain_median: float


class Size(msgspec.Struct):
    """What was measured with so many images and shards of the index."""

    images: int
    shards: int
    load: float = 0.0
    put: Command | None = None
    caught_up: Command | None = None
    index_bytes: int | None = None
    waits: dict[str, Waits] = {}
    audit: Command | None = None
    audit_queries: int | None = None
    values: Command | None = None
    rebuild: Command | None = None

    @property
    def bytes_per_image(self) -> float:
        """The index, merged, for each image."""
        return (self.index_bytes or 0) / self.images

    @property
    def name(self) -> str:
        """The size, for people and in the file of accepted figures."""
        return f"{self.images} images, {self.shards} shards"

    @property
    def gated(self) -> Mapping[str, float]:
        """What the gate compares."""
        ratios = {RATIO + name: its.median / its.plain_median for name, its in self.waits.items()}
        repeats = {
            "bytes_per_image": self.bytes_per_image,
            "audit_queries": float(self.audit_queries or 0),
        }
        return repeats | ratios


class Record:
    """The file with what is measured so far."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / RECORD
        found = self._file.read_bytes() if self._file.exists() else b"[]"
        self.sizes = msgspec.json.decode(found, type=list[Size])

    def size(self, images: int, shards: int) -> Size:
        """What is known of a size; a new one if nothing is."""
        for one in self.sizes:
            if (one.images, one.shards) == (images, shards):
                return one
        self.sizes.append(Size(images, shards))
        return self.sizes[-1]

    def save(self) -> None:
        """Write the file in one step."""
        write_json(self._file, msgspec.to_builtins(self.sizes))


def queries(made: Collection, images: int) -> Mapping[str, Sequence[str]]:
    """Queries for images of the collection, by class; the same for each run."""
    chance = random.Random(images)
    found: dict[str, list[str]] = {one: [] for one in ("word", "words", "typo", "prefix", "name")}
    while len(found["name"]) < WARM_UP + QUERIES:
        name = made.name(chance.randrange(images))
        words = [one for one in name.split() if one.isalpha() and len(one) >= SHORTEST_WORD]
        if len(words) < WORDS:
            continue
        word = max(words, key=len)
        at = chance.randrange(1, len(word) - 2)
        found["word"].append(word)
        found["words"].append(" ".join(words[:WORDS]))
        found["typo"].append(word[:at] + word[at + 1] + word[at] + word[at + 2 :])
        found["prefix"].append(word[:4])
        found["name"].append(name)
    return found


def waits(client: OpenSearch, alias: str, asked: Sequence[str]) -> Waits:
    """Ask each query, in turn with the same words as a plain query; the first ones warm up."""

    def ours(query: str) -> object:
        return search(client, alias, query)

    def plain(query: str) -> object:
        match = {"multi_match": {"query": query, "fields": PLAIN_FIELDS}}
        return client.search(index=alias, body={"query": match})

    took: dict[Callable[[str], object], list[float]] = {ours: [], plain: []}
    for number, query in enumerate(asked):
        for ask, times in took.items():
            began = time.perf_counter()
            ask(query)
            if number >= WARM_UP:
                times.append((time.perf_counter() - began) * 1000)
    own = sorted(took[ours])
    return Waits(
        statistics.median(own), own[math.ceil(len(own) * 0.99) - 1], statistics.median(took[plain])
    )


def index_bytes(client: OpenSearch, index: str) -> int:
    """The size of the index, with one segment for each shard."""
    client.indices.forcemerge(index=index, params={"max_num_segments": "1", "timeout": 3600})
    client.indices.flush(index=index)
    client.indices.refresh(index=index)  # removes the files of the merged segments
    stats = client.indices.stats(index=index, metric="store")
    size: int = stats["_all"]["primaries"]["store"]["size_in_bytes"]
    return size


def _queries_so_far(client: OpenSearch, index: str) -> int:
    stats = client.indices.stats(index=index, metric="search")
    count: int = stats["_all"]["primaries"]["search"]["query_total"]
    return count


class Measuring:
    """Measures one size, step by step.

    Args:
        folder: of the record; the stack is in it.
        record: what is known.
        size: what to measure.
        made: the images.
    """

    def __init__(self, folder: Path, record: Record, size: Size, made: Collection) -> None:
        self._record, self._size, self._made = record, size, made
        self._state = folder / f"state-{size.images}-{size.shards}"
        self._file = folder / "images.ndjson"

    def run(self) -> None:
        """Do what is not done yet."""
        size = self._size
        if size.rebuild is not None:
            return
        size.load = os.getloadavg()[0]
        self._command("up", "--detach", "--index-shards", str(size.shards))
        try:
            clients = Clients(read_local(self._state))
            self._fill()
            index, live = clients.stack.index, clients.stack.live
            if size.index_bytes is None:
                size.index_bytes = index_bytes(clients.opensearch, index)
                self._record.save()
            for name, asked in queries(self._made, size.images).items():
                if name not in size.waits:
                    size.waits[name] = waits(clients.opensearch, live, asked)
                    self._record.save()
            if size.audit is None or size.audit_queries is None:
                before = _queries_so_far(clients.opensearch, index)
                size.audit = self._command("audit")
                size.audit_queries = _queries_so_far(clients.opensearch, index) - before
                self._record.save()
            if size.values is None:
                size.values = self._command("audit", "--values")
                self._record.save()
            size.rebuild = self._command("rebuild", "--apply", "--drop-old", "--settle", "1")
            self._record.save()
        finally:
            self._command("down")
        shutil.rmtree(self._state)

    def _fill(self) -> None:
        size = self._size
        if size.put is None:
            with self._file.open("wb") as out:
                for event in self._made.events(size.images):
                    out.write(encode(event) + b"\n")
            size.put = self._command("put", str(self._file))
            self._file.unlink()
            self._record.save()
        if size.caught_up is None:
            size.caught_up = self._command("status", "--wait", "36000")
            self._record.save()

    def _command(self, *words: str) -> Command:
        run = Run()
        seconds = timed(run, sys.executable, self._state, *words)
        return Command(seconds, {name: held / MEGABYTE for name, held in run.memory.items()})


def rows(sizes: Sequence[Size]) -> Iterator[str]:
    """The figures in Markdown, with a fit of each column for each number of shards."""
    classes = list(sizes[0].waits)
    heads = [f"{one}, median and 99 % ms (ratio)" for one in classes]
    yield (
        "| images | shards | bytes an image | images/s | audit, s | audit of values, s "
        "| rebuild, s | queries of an audit | load |"
    )
    yield "| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"
    for one in sizes:
        if not (one.put and one.caught_up and one.audit and one.values and one.rebuild):
            continue
        rate = one.images / (one.put.seconds + one.caught_up.seconds)
        yield (
            f"| {one.images:,} | {one.shards} | {one.bytes_per_image:,.0f} | {rate:,.0f} "
            f"| {one.audit.seconds:.1f} | {one.values.seconds:.1f} | {one.rebuild.seconds:.1f} "
            f"| {one.audit_queries:,} | {one.load:.1f} |"
        )
    yield ""
    yield "| images | shards | " + " | ".join(heads) + " |"
    yield "| ---: | ---: |" + " ---: |" * len(heads)
    for one in sizes:
        cells = [
            f"{its.median:.1f} and {its.p99:.1f} ({its.median / its.plain_median:.1f})"
            for its in one.waits.values()
        ]
        yield f"| {one.images:,} | {one.shards} | " + " | ".join(cells) + " |"
    for shards in sorted({one.shards for one in sizes}):
        of_shards = [one for one in sizes if one.shards == shards and one.waits]
        if len(of_shards) > 1:
            yield ""
            for name in classes:
                points = [(float(one.images), one.waits[name].median) for one in of_shards]
                power = exponent(points)
                yield f"{name}, {shards} shards: the median grows with images to the {power:.2f}"


def off(sizes: Sequence[Size], accepted: Mapping[str, Mapping[str, float]]) -> Iterator[str]:
    """What differs from the accepted figures by more than it may."""
    for one in sizes:
        its = accepted.get(one.name)
        if its is None:
            continue
        for name, before in its.items():
            value = one.gated[name]
            is_time = name.startswith(RATIO)
            most = before * (1 + (RATIO_OFF if is_time else REPEATED_OFF))
            if value > most or (not is_time and value < before * (1 - REPEATED_OFF)):
                yield f"{one.name}: {name} is {value:,.1f}, accepted is {before:,.1f}"


def main() -> None:
    """Measure what is not measured yet, and print all of it.

    Raises:
        SystemExit: with `--gate`, something differs from what is accepted.
    """
    parser = argparse.ArgumentParser(prog="python -m benchmarks.search_growth")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--images", type=int, nargs="+", default=IMAGES)
    parser.add_argument("--shards", type=int, nargs="+", default=SHARDS)
    then = parser.add_mutually_exclusive_group()
    then.add_argument("--gate", action="store_true")
    then.add_argument("--accept", action="store_true")
    given = parser.parse_args()
    folder: Path = given.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    record, made = Record(folder), collection()
    for images in given.images:
        for shards in given.shards:
            Measuring(folder, record, record.size(images, shards), made).run()
            print(f"{images} images, {shards} shards: measured", flush=True)
    print("\n".join(rows(record.sizes)))
    accepted: dict[str, dict[str, float]] = {}
    if ACCEPTED.exists():
        accepted = msgspec.json.decode(ACCEPTED.read_bytes(), type=dict[str, dict[str, float]])
    if given.accept:
        write_json(ACCEPTED, accepted | {one.name: one.gated for one in record.sizes})
    if given.gate:
        for one in record.sizes:
            if one.name not in accepted:
                print(f"{one.name}: not compared, no figures are accepted")
        if found := [*off(record.sizes, accepted)]:
            sys.exit("\n".join(found))


if __name__ == "__main__":
    main()
