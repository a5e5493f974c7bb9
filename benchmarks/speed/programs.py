"""Run the programs that are compared: count and time them, and check what they store."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec

from benchmarks.speed.consumers import Invocations
from benchmarks.speed.counting import ROOT, Count, counted, run
from benchmarks.speed.stubs import IndexStub, Stored, StreamStub, TableStub, serving
from benchmarks.speed.workload import BATCH, events, invocations
from shared.event import encode

ROUNDS = 3
# How many batches, single records and events of a producer warm a program up, and are measured.
BATCHES, SINGLES = (3, 5), (20, 20)
# A program with a call for each record needs many more instructions.
SLOW_BATCHES, SLOW_SINGLES = (1, 1), (10, 20)
EVENTS = 4_000
IMAGES = (BATCHES[0] + BATCHES[1]) * BATCH
ASYNC_KINESIS = "producer, async-kinesis"
PYTHONS = {ASYNC_KINESIS: ROOT / ".tools" / "async-kinesis" / "bin" / "python"}

type Counts = Mapping[str, Mapping[str, Count]]


@contextmanager
def stores() -> Iterator[tuple[Mapping[str, str], Mapping[str, Stored]]]:
    """The stubs: the environment of programs that use them, and what each of them stores."""
    with (
        serving(TableStub()) as table,
        serving(IndexStub()) as index,
        serving(StreamStub()) as stream,
    ):
        environment = {
            "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
            "AWS_SECRET_ACCESS_KEY": "measured",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_REGION": "us-east-1",
            "AWS_ENDPOINT_URL_DYNAMODB": table.url,
            "AWS_ENDPOINT_URL_KINESIS": stream.url,
            "AWS_LAMBDA_FUNCTION_NAME": "measured",
            "INDEX_ALIAS": "lockstep-images",
            "OPENSEARCH_ENDPOINT": index.url,
            "OPENSEARCH_SIGNING": "yes",
            "POWERTOOLS_LOG_LEVEL": "INFO",
            "POWERTOOLS_METRICS_NAMESPACE": "Lockstep/measured",
            "POWERTOOLS_SERVICE_NAME": "measured",
            "QUARANTINE_BUCKET": "quarantine",
            "STACK_NAME": "measured",
            "TABLE_NAME": "lockstep-images",
        }
        yield (
            environment,
            {
                "writer": table.stored,
                "indexer": index.stored,
                "producer": stream.stored,
                "producer of a file": stream.stored,
            },
        )


def consumer_counts(names: Sequence[str], *, rounds: int = ROUNDS) -> Counts:
    """Instructions and microseconds for each record of these consumers, by size of a batch.

    The programs run in turn, `rounds` times; the time is the shortest of each. With no rounds
    there are no times, and what they store is not compared.
    """
    given = list(events(IMAGES + SINGLES[0] + SINGLES[1]))
    with TemporaryDirectory() as name:
        works: dict[str, Path] = {}
        for program in names:
            slow = "documented" in program
            sizes = (SLOW_BATCHES, SLOW_SINGLES) if slow else (BATCHES, SINGLES)
            (warm, measured), (warm_singles, singles) = sizes
            batches = list(invocations(given[: (warm + measured) * BATCH], BATCH))
            alone = list(invocations(given[IMAGES : IMAGES + warm_singles + singles], 1))
            works[program] = Path(name) / f"{len(works)}.json"
            works[program].write_bytes(
                msgspec.json.encode(
                    [
                        Invocations(str(BATCH), batches[:warm], batches[warm:]),
                        Invocations("1", alone[:warm_singles], alone[warm_singles:]),
                    ]
                )
            )
        return _counts("benchmarks.speed.consumers", works, rounds, _same_image)


def producer_counts(names: Sequence[str], *, rounds: int = ROUNDS) -> Counts:
    """Instructions and microseconds for each event of these producers; see `consumer_counts`."""
    with TemporaryDirectory() as name:
        work = Path(name) / "events.ndjson"
        work.write_bytes(b"\n".join(encode(one) for one in events(EVENTS)))
        works = dict.fromkeys(names, work)
        return _counts("benchmarks.speed.producers", works, rounds, lambda one, other: one == other)


def _counts(module: str, works: Mapping[str, Path], rounds: int, same: Any) -> Counts:
    with stores() as (environment, stored):
        times: dict[tuple[str, str], float] = {}
        first: dict[str, Stored] = {}
        for _ in range(max(1, rounds)):  # the first run compiles the modules
            for program, work in works.items():
                kept = stored[program.partition(",")[0]]
                kept.clear()
                for one in run(_python(program), ["-m", module, program, str(work)], environment):
                    key = program, one.name
                    times[key] = min(times.get(key, 1e9), one.seconds / one.units * 1e6)
                ours = first.setdefault(program.partition(",")[0], {**kept})
                if rounds:
                    _check(program, ours, kept, same)
        found: dict[str, dict[str, Count]] = {}
        for program, work in works.items():
            words = ["-m", module, program, str(work)]
            for name, instructions in counted(_python(program), words, environment).items():
                print(f"{program}: {name}: {instructions:,.0f}", file=sys.stderr, flush=True)
                count = Count(instructions, times[program, name])
                found.setdefault(program, {})[name] = count
        return found


def _python(program: str) -> Path:
    return PYTHONS.get(program, Path(sys.executable))


def _check(program: str, ours: Stored, stored: Stored, same: Any) -> None:
    """Stop if a program does not store what ours stores."""
    others = [image_id for image_id, one in stored.items() if not same(ours.get(image_id), one)]
    if others or not stored:
        sys.exit(f"{program} stores something else: {others[:3] or 'nothing'}")


def _same_image(ours: Any, one: Any) -> bool:
    """Whether two programs store the same image with the same version.

    The documented programs store neither digest nor provenance.
    """
    if "digest" in one:
        return bool(one == ours)
    compared = ours.keys() & one.keys() - {"attributes"}
    return {"version", "image_id"} <= compared and all(ours[name] == one[name] for name in compared)
