"""Measure the speed of the product, and compare it with its goals: `make bench`.

    python -m benchmarks.speed [--only PART ...] [--growth OF ...] [--write FILE]

Instructions are counted by callgrind (Debian: `valgrind`), for the measured segment only; times are
the shortest of three interleaved runs. The stores are stubs that answer at once, in another
process. The reference programs store the same, which is checked. With --only, the other figures of
the page stay as they are, and the page names the parts that are newer.
"""

import argparse
import platform
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import version
from pathlib import Path

from benchmarks import audit, cold_start, decoding
from benchmarks.speed import account, growth, month, pieces, searching
from benchmarks.speed.consumers import PROGRAMS as CONSUMERS
from benchmarks.speed.counting import ROOT, Count, counted, has_valgrind, run, valgrind_version
from benchmarks.speed.page import merged
from benchmarks.speed.producers import OF_FILES
from benchmarks.speed.producers import PROGRAMS as PRODUCERS
from benchmarks.speed.programs import (
    ASYNC_KINESIS,
    PYTHONS,
    consumer_counts,
    producer_counts,
    stores,
)
from benchmarks.speed.table import Goal, Row, row, table

LIBRARIES = ("boto3", "botocore", "opensearch-py", "aws-lambda-powertools", "msgspec", "urllib3")
# Instructions of a floor without patterns, from an earlier measurement: goals are multiples of it.
WRITER_FLOOR, INDEXER_FLOOR = 208_000, 135_000
# (consumer, size of a batch): the goals.
CONSUMER_GOALS: Mapping[tuple[str, str], tuple[Goal, ...]] = {
    ("writer", "100"): (
        Goal("cheaper", 15, "documented"),
        Goal("at most", round(1.9 * WRITER_FLOOR)),
    ),
    ("writer", "1"): (Goal("cheaper", 1.6, "documented"),),
    ("indexer", "100"): (
        Goal("cheaper", 9.5, "documented"),
        Goal("cheaper", 1.3, "helpers.bulk"),
        Goal("at most", round(1.7 * INDEXER_FLOOR)),
    ),
    ("indexer", "1"): (Goal("at most", 1, "documented"),),
}
RECORD = "instructions a record"


def consumers() -> Iterator[Row]:
    """Both consumers, per record."""
    found = consumer_counts([*CONSUMERS])
    for (consumer, size), goals in CONSUMER_GOALS.items():
        references = {
            name.partition(", ")[2]: counts[size]
            for name, counts in found.items()
            if name.startswith(f"{consumer},")
        }
        batch = "100 a batch" if size != "1" else "single record"
        yield row(f"{consumer}, {batch}", RECORD, found[consumer][size], references, goals)


def producer() -> Iterator[Row]:
    """The producer, per event."""
    if not PYTHONS[ASYNC_KINESIS].exists():
        sys.exit("async-kinesis is not installed: run make .tools/async-kinesis.done")
    found = {name: counts["put"] for name, counts in producer_counts([*PRODUCERS]).items()}
    references = {
        name.partition(", ")[2]: count for name, count in found.items() if name != "producer"
    }
    goals = (Goal("cheaper", 1.5, "plain loop"), Goal("cheaper", 4, "async-kinesis"))
    yield row("producer", "instructions an event", found["producer"], references, goals)
    ours, plain = (counts["put"] for counts in producer_counts([*OF_FILES]).values())
    yield row("lockstep put FILE", "instructions an event", ours, {"plain loop of a file": plain})


def starts() -> Iterator[Row]:
    """Cold starts and sizes of the functions as they are packaged."""
    with tempfile.TemporaryDirectory() as scratch:
        artifacts = cold_start.build(Path(scratch) / "build")
        counts = cold_start.cold_starts(artifacts)
        sizes = cold_start.zip_sizes(artifacts)
    reference = {cold_start.REFERENCE: counts[cold_start.REFERENCE]}
    for name, start in cold_start.STARTS.items():
        goals = (Goal("at most", start.goal, cold_start.REFERENCE),) if start.goal else ()
        yield Row(f"cold start: {name}", "instructions", counts[name], reference, goals)
    for name, (without, whole) in sizes.items():
        goal = Goal("at most", cold_start.ZIP_GOAL)
        yield Row(f"zip: {name}", "bytes without bytecode", without, {"with it": whole}, (goal,))


def tool() -> Iterator[Row]:
    """The first answers of the command line."""
    counts = cold_start.tool_starts()
    names = (cold_start.CLICK, cold_start.CLICK_AND_BOTO3)
    references = {name: counts[name] for name in names}
    goals = {
        "lockstep --help": Goal("at most", 600_000_000),
        "lockstep search TEXT": Goal("at most", 1.2, cold_start.CLICK_AND_BOTO3),
    }
    for name, count in counts.items():
        if name not in references:
            its = (goals[name],) if name in goals else ()
            yield Row(name, "instructions", count, references, its)


def audits() -> Iterator[Row]:
    """Both passes of an audit, per id."""
    making, ours, plain = (
        audit.counted("benchmarks.audit", one, *audit.COUNTED)
        for one in ("nothing", "ours", "plain")
    )
    ours, plain = ours - making, plain - making
    references = {"json and TypeDeserializer": plain}
    goal = Goal("at most", 34_500)
    yield Row("audit, versions", "instructions an id", ours, references, (goal,))
    ours = decoding.instructions("audit --values")
    references = {"by the client": decoding.instructions("audit --values, by the client")}
    goal = Goal("at most", 650_000)
    yield Row("audit --values", "instructions an id", ours, references, (goal,))


def search() -> Iterator[Row]:
    """The processor time of the search API, per request."""
    found: dict[str, Count] = {}
    with stores() as (environment, _), cold_start.stores() as address:
        ready = searching.environment(environment, address)
        for name in searching.PROGRAMS:
            words = ["-m", "benchmarks.speed.searching", name, "-"]
            python = Path(sys.executable)
            times = [run(python, words, ready)[0].seconds for _ in range(3)]
            instructions = counted(python, words, ready)["search"]
            found[name] = Count(instructions, min(times) / 10 * 1e6)
    references = {"client.search": found["client.search"]}
    goals = (Goal("at most", 1.25, "client.search"),)
    yield row("search API", "instructions a request", found["search API"], references, goals)


def duplicates() -> Iterator[Row]:
    """Duplicates of one event in a batch, per record."""
    few, many = growth.duplicates(1_000), growth.duplicates(10_000)
    yield Row(
        "10,000 duplicates in a batch",
        RECORD,
        many,
        {"1,000 duplicates": few},
        (Goal("at most", 1.05, "1,000 duplicates"),),
    )


PARTS: Mapping[str, Callable[[], Iterator[Row]]] = {
    "consumers": consumers,
    "producer": producer,
    "starts": starts,
    "tool": tool,
    "audit": audits,
    "search": search,
    "duplicates": duplicates,
}

ALL = [*PARTS, "accounts", "pieces", "growth"]

_ACCOUNTS = """## Where an invocation goes

An invocation of the search API, and one of each consumer with a single record. A part begins where
a function of its library or ours is called, and what it calls belongs to it, but not to another
part. The marks at these calls cost about 2,000 instructions each. `python -m
benchmarks.speed.account` prints these tables by themselves."""

_PIECES = """## Where it goes

Each step of a consumer by itself, with 100 records a batch. The rest of a consumer's figure is the
request: botocore or opensearch-py, signature, HTTP, the answer, and the log lines and metrics of an
invocation. It is the same for a request of one record, so it is nearly all of the figure of a
single record."""

_ABOUT = """# Speed

What the product costs, beside its goals. `make bench` measures and writes this page.

Instructions are those of one processor, counted by callgrind for the measured segment only: the
start of the interpreter, imports and the first invocations do not count, but for cold starts. They
repeat to about 0.1 %. Times are the shortest of three interleaved runs, and swing with the load of
the machine. The events are {size} bytes of real metadata of the Tate collection. The stores are
stubs in another process, which answer at once.

- **documented**: Powertools' `BatchProcessor` with one call for each record (`put_item`, `index`).
  It neither validates events nor computes digests.
- **floor**: a program for this measurement that validates, computes digests and stores the same
  with the same version check, through a socket of its own. It retries nothing, understands no
  error, and writes neither logs nor metrics.
- **helpers.bulk**: the function of opensearch-py, with versions. It neither validates nor computes
  digests.
- **plain loop**: PutRecords of 500 records, without a look at the answers. That of a file takes
  the partition key from each line by `json`, and sends the line as it is.
"""


def commit() -> str:
    """What is measured."""
    command = ["git", "rev-parse", "--short", "HEAD"]
    return subprocess.check_output(command, cwd=ROOT, text=True).strip()


def versions() -> str:
    """What was measured, and with what."""
    libraries = ", ".join(f"{name} {version(name)}" for name in LIBRARIES)
    return textwrap.fill(
        f"Measured at commit {commit()} with Python {platform.python_version()} and "
        f"{valgrind_version()}; {libraries}.",
        100,
    )


def main() -> None:
    """Measure the parts, print the table, and write the page."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=ALL, default=ALL)
    parser.add_argument(
        "--growth", nargs="+", choices=[*growth.PARTS], default=[*growth.PARTS], help="of what"
    )
    parser.add_argument("--write", type=Path, help="the page")
    given = parser.parse_args()
    if not has_valgrind():
        sys.exit("valgrind is missing: install it (Debian: apt-get install valgrind)")
    rows: list[Row] = []
    for name in given.only:
        if name in PARTS:
            print(f"measuring: {name}", file=sys.stderr, flush=True)
            rows += PARTS[name]()
    sections = [_ABOUT.format(size=585), versions(), table(rows)]
    if "consumers" in given.only:
        sections.append(month.section(sections[-1]))
    if "accounts" in given.only:
        print("measuring: accounts", file=sys.stderr, flush=True)
        sections += [_ACCOUNTS, account.tables()]
    if "pieces" in given.only:
        print("measuring: pieces", file=sys.stderr, flush=True)
        sections += [_PIECES, pieces.table()]
    if "growth" in given.only:
        print("measuring: growth", file=sys.stderr, flush=True)
        sections += [_GROWTH, growth.table(parts=given.growth)]
    page = "\n\n".join(section.strip() for section in sections) + "\n"
    print(page)
    if given.write is not None:
        if given.only != ALL:
            page = merged(given.write.read_text("utf-8"), page, commit(), ", ".join(given.only))
        given.write.write_text(page, "utf-8")


_GROWTH = """## Growth

What a record takes if a batch or a `put` has so many: instructions, above 10,000 records processor
time. The exponent is the slope of the logarithms of instructions over records: 1 is linear. The
peak of the memory is that of the whole process, with all records of the batch in it."""


if __name__ == "__main__":
    main()
