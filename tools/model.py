"""Visit every state of the protocol model (tests/model): `python -m tools.model [--table]`.

The exit code is 1 if the model breaks an invariant, or if a seeded bug breaks none.
"""

import argparse
import sys
import time

from tests.model.bugs import ASSUMPTIONS, AT_NIGHT, BUGS, WORLDS
from tests.model.model import Rules
from tests.model.search import search


def main() -> int:
    """Visit every state of every world, then each bug; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tools.model", description=__doc__)
    parser.add_argument(
        "--table", action="store_true", help="print the tables of docs/internals/model.md"
    )
    asked = parser.parse_args()
    say = sys.stdout.write
    wrong = 0
    say("| world | states | steps |\n| --- | --- | --- |\n" if asked.table else "")
    for world, bounds in (WORLDS | AT_NIGHT).items():
        began = time.process_time()
        found = search(Rules(bounds))
        wrong += found.broken is not None
        took = time.process_time() - began
        if asked.table:
            say(f"| {world} | {found.states:,} | {found.steps:,} |\n")
        else:
            say(f"{found.states:>9,} states, {found.steps:>10,} steps, {took:4.1f} s: {world}\n")
        if found.broken is not None:
            say(f"{found.broken}\n")
    for title, bugs in (("bug", BUGS), ("without this assumption", ASSUMPTIONS)):
        say(f"\n| {title} | breaks | steps |\n| --- | --- | --- |\n" if asked.table else "")
        for name, bug in bugs.items():
            broken = search(bug.rules(bug.bounds)).broken
            wrong += broken is None
            if asked.table:
                row = f"{broken.invariant} | {len(broken.steps)}" if broken else "nothing | "
                say(f"| {name} | {row} |\n")
            else:
                say(f"\n{title}: {name}\n{broken or '  breaks nothing'}\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
