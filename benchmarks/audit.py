"""Measure the audit's version pass: ids per second of one core, instructions per id, memory.

    python -m benchmarks.audit [IDS]

No engine runs. The program makes the pages of both stores as they come from the network. The
version pass decodes them, spills the entries to disk and compares them. For comparison, the program
also decodes the same pages as the documentation shows: with json and boto3's deserializer. Each
part runs in its own process, so that its memory can be measured. Times are processor time of one
core. If valgrind is installed, it counts instructions, which do not depend on other load.
"""

import json
import multiprocessing
import random
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

import msgspec
from boto3.dynamodb.types import TypeDeserializer

from lockstep.audit.audit import audit
from lockstep.stores.entry import Entry
from lockstep.stores.pages import SearchPage, SearchPages, scanned
from shared.clock import Clock

IDS = 1_000_000
COUNTED = (2_000, 8_000)
PAGE = 1_000
STAMP = 1_795_000_000_000_000
MEBIBYTE = 1024
_ENVIRONMENT = {"PYTHONHASHSEED": "0"}
CLOCK = Clock(time.time, time.monotonic, lambda _: None, lambda: 0.5)


def digest(number: int) -> str:
    """The digest of one image."""
    return f"{number * 2_654_435_761 % 2**64:064x}"


def scan_page(numbers: Sequence[int]) -> bytes:
    """DynamoDB's answer with these images."""
    items = [
        {
            "image_id": {"S": f"image-{number:09d}"},
            "version": {"N": str(STAMP + number)},
            "deleted": {"BOOL": False},
            "digest": {"S": digest(number)},
            "arrived_at": {"N": "1795000000000"},
        }
        for number in numbers
    ]
    page = {"Items": items, "Count": len(items), "ScannedCount": len(items)}
    return msgspec.json.encode(page)


def search_page(numbers: Sequence[int]) -> str:
    """OpenSearch's answer with these images, as opensearch-py gives it to us."""
    hits = [
        {
            "_index": "images-000001",
            "_id": f"image-{number:09d}",
            "_version": STAMP + number,
            "_score": None,
            "_source": {
                "image_id": f"image-{number:09d}",
                "version": STAMP + number,
                "deleted": False,
                "digest": digest(number),
                "arrived_at": 1_795_000_000_000,
            },
            "sort": [number],
        }
        for number in numbers
    ]
    shards = {"total": 1, "successful": 1, "skipped": 0, "failed": 0}
    found = {"total": {"value": len(hits), "relation": "eq"}, "hits": hits}
    page = {"took": 1, "timed_out": False, "_shards": shards, "hits": found}
    return msgspec.json.encode(page).decode()


class Pages[P: (bytes, str)]:
    """The pages of a store, in a random order. Each is made when it is read, to save memory.

    `making` is the time in seconds that this takes. It is subtracted from the results.
    """

    def __init__(self, ids: int, seed: int, page: Callable[[Sequence[int]], P]) -> None:
        self.making = 0.0
        self._ids = ids
        self._starts = list(range(0, ids, PAGE))
        random.Random(seed).shuffle(self._starts)
        self._page: Callable[[Sequence[int]], P] = page

    def __iter__(self) -> Iterator[P]:
        return self.segment(0, 1)

    def segment(self, number: int, of: int) -> Iterator[P]:
        """One of `of` equal shares of the pages."""
        for start in self._starts[number::of]:
            began = time.process_time()
            page = self._page(range(start, min(start + PAGE, self._ids)))
            self.making += time.process_time() - began
            yield page


class Table:
    """The table, decoded as in an audit."""

    def __init__(self, pages: Iterable[bytes]) -> None:
        self._pages = pages

    def scan(self) -> Iterator[Entry]:
        """Every entry."""
        for page in self._pages:
            decoded = scanned(page)
            if decoded is None:
                raise AssertionError(page)
            yield from decoded[0]

    def lookup(self, image_ids: Sequence[str]) -> Mapping[str, Entry]:
        """Never called, because the stores are equal."""
        raise NotImplementedError(image_ids)


class Index(Table):
    """The index, decoded as in an audit."""

    def __init__(self, pages: Iterable[str]) -> None:
        self._texts = pages

    def scan(self) -> Iterator[Entry]:
        """Every entry."""
        pages = SearchPages()
        for page in self._texts:
            yield from cast("SearchPage", pages.loads(page)).entries()


def ours(ids: int) -> float:
    """Run the version pass; return its time in seconds."""
    table, index = Pages(ids, 1, scan_page), Pages(ids, 2, search_page)
    began = time.process_time()
    found = audit(Table(table), Index(index), quarantined_images=list, clock=CLOCK)
    took = time.process_time() - began
    if (found.result, found.table, found.index) != ("equal", ids, ids):
        sys.exit(f"the stores must be equal, but the audit found {found}")
    return took - table.making - index.making


def prepared(ids: int) -> Callable[[], object]:
    """The version pass alone: the pages are made before."""
    table, index = [*Pages(ids, 1, scan_page)], [*Pages(ids, 2, search_page)]

    def work() -> None:
        found = audit(Table(table), Index(index), quarantined_images=list, clock=CLOCK)
        if (found.result, found.table, found.index) != ("equal", ids, ids):
            raise AssertionError(found)

    return work


def plain(ids: int) -> float:
    """Only decode the same pages, as the documentation shows; return the time in seconds."""
    table, index = Pages(ids, 1, scan_page), Pages(ids, 2, search_page)
    deserialize = TypeDeserializer().deserialize
    began = time.process_time()
    for page in table:
        for item in json.loads(page)["Items"]:
            _: Any = {name: deserialize(value) for name, value in item.items()}
    for text in index:
        json.loads(text)
    return time.process_time() - began - table.making - index.making


def nothing(ids: int) -> float:
    """Only make the pages. `main` subtracts these instructions from those of the other parts."""
    for pages in (Pages(ids, 1, scan_page), Pages(ids, 2, search_page)):
        for _ in pages:
            pass
    return 0.0


WORK: Mapping[str, Callable[[int], float]] = {"ours": ours, "plain": plain, "nothing": nothing}
NAMES = {"ours": "version pass", "plain": "json + boto3, decoding only"}


def timed(name: str, ids: int) -> None:
    """Run one part, and print its speed and its memory."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    took = WORK[name](ids)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(
        f"{NAMES[name]:<30}{ids:>11,} ids  {ids / took:>9,.0f} ids/s per core  "
        f"{peak / MEBIBYTE:5.0f} MiB peak (before: {before / MEBIBYTE:.0f})",
        flush=True,
    )


def counted(module: str, name: str, few: int, many: int) -> float:
    """Instructions per unit of `WORK[name]` of a module.

    The difference of two runs excludes the start of the process. The first run is not counted: it
    compiles the modules.
    """
    program = [sys.executable, "-c", f"from {module} import WORK; WORK[{name!r}]"]
    subprocess.run([*program[:2], f"{program[2]}({few})"], check=True, env=_ENVIRONMENT)
    return (_instructions(program, many) - _instructions(program, few)) / (many - few)


def _instructions(program: Sequence[str], units: int) -> int:
    with TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        command = ["valgrind", "--tool=cachegrind", "--cache-sim=no"]
        command += ["--cachegrind-out-file=/dev/null", f"--log-file={log}"]
        subprocess.run(
            [*command, *program[:2], f"{program[2]}({units})"], check=True, env=_ENVIRONMENT
        )
        (line,) = [line for line in log.read_text().splitlines() if "refs:" in line]
    return int(line.rpartition(":")[2].replace(",", ""))


def main() -> None:
    """Run each part in its own process."""
    ids = int(sys.argv[1]) if len(sys.argv) > 1 else IDS
    context = multiprocessing.get_context("spawn")
    for name, size in (("ours", ids), ("plain", min(ids, IDS))):
        process = context.Process(target=timed, args=(name, size))
        process.start()
        process.join()
        if process.exitcode:
            sys.exit(process.exitcode)
    if shutil.which("valgrind") is None:
        print("install valgrind to count instructions")
        return
    making = counted("benchmarks.audit", "nothing", *COUNTED)
    for name, words in NAMES.items():
        found = counted("benchmarks.audit", name, *COUNTED) - making
        print(f"{words:<30}{found:>11,.0f} instructions per id", flush=True)


if __name__ == "__main__":
    main()
