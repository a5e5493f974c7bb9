"""Fail if a part of the product needs more instructions than accepted.

    python -m benchmarks.speed.gate [--required] [--accept REASON]

The accepted figures are in `accepted.json`, each with the reason why they are what they are. They
belong to an interpreter and a version of valgrind. With these, a figure may rise by 2 %. With
others, the figure divided by that of a reference program is compared, and may rise by 10 %, because
two interpreters do not get faster by the same share in all they do.
"""

import argparse
import platform
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec

from benchmarks.speed.counting import has_valgrind, valgrind_version
from benchmarks.speed.growth import duplicates
from benchmarks.speed.programs import consumer_counts, producer_counts

ACCEPTED = Path(__file__).with_name("accepted.json")
RISE, RISE_OF_RATIO = 0.02, 0.10
REFERENCES: Mapping[str, str] = {
    "writer": "writer, floor",
    "indexer": "indexer, floor",
    "producer": "producer, plain loop",
}


class Accepted(msgspec.Struct, frozen=True):
    """The figures of one commit: instructions for each record, of the product and of references."""

    reason: str
    python: str
    valgrind: str
    figures: Mapping[str, float]
    references: Mapping[str, float]


def read_accepted(path: Path = ACCEPTED) -> list[Accepted]:
    """What was accepted, the newest last."""
    return msgspec.json.decode(path.read_bytes(), type=list[Accepted]) if path.exists() else []


def measure(*, references: bool) -> tuple[Mapping[str, float], Mapping[str, float]]:
    """The figures of the product, and of the reference programs if they are asked for."""
    programs = [*REFERENCES, *REFERENCES.values()] if references else [*REFERENCES]

    def counts(program: str) -> Mapping[str, float]:
        of = producer_counts if program.startswith("producer") else consumer_counts
        found = of([program], rounds=0)[program]
        return {f"{program}: {size}": round(one.instructions) for size, one in found.items()}

    with ThreadPoolExecutor(max_workers=2) as workers:
        fold = workers.submit(duplicates)
        measured = dict(zip(programs, workers.map(counts, programs), strict=True))
    ours = {size: one for program in REFERENCES for size, one in measured[program].items()}
    theirs = {
        size: one
        for program in REFERENCES.values()
        for size, one in measured.get(program, {}).items()
    }
    return {**ours, "fold: duplicates": fold.result()}, theirs


def risen(
    accepted: Accepted, figures: Mapping[str, float], references: Mapping[str, float]
) -> Iterator[str]:
    """A line for each figure that has risen by more than it may.

    Args:
        accepted: what is accepted.
        figures: what was measured.
        references: the figures of the reference programs; empty: interpreter and valgrind are those
            of the accepted figures.
    """
    for name, before in accepted.figures.items():
        if name not in figures:
            yield f"{name}: not measured"
            continue
        program, _, size = name.partition(": ")
        reference = f"{REFERENCES[program]}: {size}" if program in REFERENCES else None
        if not references:
            now, was, most, unit = figures[name], before, RISE, "instructions"
        elif reference is None:
            continue
        else:
            now = figures[name] / references[reference]
            was = before / accepted.references[reference]
            most, unit = RISE_OF_RATIO, f"times {REFERENCES[program]}"
        if now > was * (1 + most):
            yield (
                f"{name}: {now:,.4g} {unit}, accepted are {was:,.4g}: {now / was - 1:+.1%}, "
                f"at most {most:+.0%}"
            )


def main() -> None:
    """Measure and compare, or accept."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed.gate", description=__doc__)
    parser.add_argument("--required", action="store_true", help="fail if valgrind is missing")
    parser.add_argument("--accept", metavar="REASON", help="accept the figures of now")
    given = parser.parse_args()
    if not has_valgrind():
        message = "speed is not checked: install valgrind (Debian: apt-get install valgrind)"
        if given.required:
            sys.exit(message)
        print(message)
        return
    accepted = read_accepted()
    versions = platform.python_version(), valgrind_version()
    if given.accept:
        figures, references = measure(references=True)
        accepted.append(Accepted(given.accept, *versions, figures, references))
        ACCEPTED.write_bytes(msgspec.json.format(msgspec.json.encode(accepted)) + b"\n")
        return
    newest = accepted[-1]
    same = versions == (newest.python, newest.valgrind)
    figures, references = measure(references=not same)
    for name, figure in figures.items():
        change = figure / newest.figures[name] - 1
        print(f"{name:<24}{figure:>12,.0f} instructions {change:+.2%}")
    if not same:
        print(f"compared by ratios: accepted with Python {newest.python}, {newest.valgrind}")
    if lines := [*risen(newest, figures, references)]:
        sys.exit(
            "\n".join(lines) + "\nMake it cheaper, or accept the figures with a reason: "
            'python -m benchmarks.speed.gate --accept "REASON"'
        )


if __name__ == "__main__":
    main()
