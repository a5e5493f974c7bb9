"""Measure what the check of one name costs each local engine, in one process of the engine.

    python -m benchmarks.local_names [--rounds 40] [--block 100] [--only ENGINE]  (Linux)

The check looks at the `Host` header of each request, and at each `Origin` header. So 50 more
`Origin` headers are 50 more checks. For comparison, there are requests with 50 headers of a name
that nobody reads, and requests without more headers. All go in turn to the same process, in blocks.
Only the processor time of the engine counts.

A usual request has one name, in `Host`. What this does not measure is the call of the check itself,
once for each request: `python -m benchmarks.engines` compares whole requests.

The last results are in docs/decisions/2026-11-29-servers-refuse-web-pages.md.
"""

import argparse
import statistics
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.engines import NAMES, Engine, bounds
from lockstep.local.engines.pins import EngineName
from lockstep.local.processes import stop

MORE = 50
WARM_UP_ROUNDS = 15
# Of the same length, so that both cost the same to read.
CHECKED, UNREAD = "Origin", "Xrigin"
PAGE = "http://localhost:8080"
KINDS: Mapping[str, Sequence[str]] = {
    "checked": [CHECKED] * MORE,
    "unread": [UNREAD] * MORE,
    "plain": [],
}


def measure(name: EngineName, rounds: int, block: int) -> tuple[float, Sequence[float]]:
    """Send the requests to a new process of this engine.

    Returns:
        The engine's time for a plain request, and for a check in each round, in microseconds.
    """
    with tempfile.TemporaryDirectory(prefix="engines-") as folder:
        engine = Engine(name, Path(folder), checks=True)
        try:
            engine.connect()
            found: dict[str, list[float]] = {kind: [] for kind in KINDS}
            for number in range(WARM_UP_ROUNDS + rounds):
                for kind, more in KINDS.items():
                    spent, _ = engine.microseconds(block, [(one, PAGE) for one in more])
                    if number >= WARM_UP_ROUNDS:
                        found[kind].append(spent)
        finally:
            stop([engine.child])
    pairs = zip(found["checked"], found["unread"], strict=True)
    return statistics.median(found["plain"]), [(one - other) / MORE for one, other in pairs]


def main() -> None:
    """Measure each engine, and print a line of a table for each."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.local_names", description=__doc__)
    parser.add_argument("--rounds", type=int, default=40, help="blocks of each kind of request")
    parser.add_argument("--block", type=int, default=100, help="requests of a block")
    parser.add_argument("--only", choices=NAMES, help="only this engine")
    options = parser.parse_args()
    print("| engine | µs of a request | µs of a check | % of the request |")
    print("| --- | ---: | ---: | ---: |", flush=True)
    for name in NAMES if options.only is None else (options.only,):
        plain, checks = measure(name, options.rounds, options.block)
        figures = (statistics.median(checks), *bounds(checks))
        cells = (
            f"{middle:.2f} ({lowest:.2f} to {highest:.2f})"
            for middle, lowest, highest in (figures, [one / plain * 100 for one in figures])
        )
        print(f"| {name} | {plain:.0f} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
