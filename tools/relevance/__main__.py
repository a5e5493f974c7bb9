"""Measure the relevance of the search: `python -m tools.relevance [--accept] [--names]`.

Starts its own OpenSearch, and prints the figures of each class of queries: first those over the
real records, then those over the made-up names in many scripts. The exit code is 1 if a figure of
the real records is below its minimum or below the accepted one, or if a query has no accepted
figures.
"""

import argparse
import sys

from opensearchpy import OpenSearch

from tools.engines import engines_for_tests
from tools.relevance.collection import events
from tools.relevance.figures import (
    accept,
    accepted_figures,
    missed,
    own_words_summary,
    table,
    wrong,
)
from tools.relevance.index import measured_in
from tools.relevance.judged import judged
from tools.relevance.made_up import judged_names, made_up_events, own_words


def main() -> int:
    """Measure, and print; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tools.relevance", description=__doc__)
    parser.add_argument(
        "--accept", action="store_true", help="write these figures to tools/relevance/accepted.tsv"
    )
    parser.add_argument("--names", action="store_true", help="measure only the made-up names")
    asked = parser.parse_args()
    findings: list[str] = []
    with engines_for_tests() as endpoint:
        client = OpenSearch([endpoint("opensearch")], timeout=30, max_retries=0)
        if not asked.names:
            real = measured_in(client, events(), judged())
            if asked.accept:
                accept(real)
            findings = wrong(real, accepted_figures())
            _print([*table(real), "", _MISSED, *missed(real), *findings, ""])
        names = measured_in(client, made_up_events(), judged_names())
    _print([*table(names), "", *own_words_summary(names, own_words()), "", _MISSED, *missed(names)])
    return 1 if findings else 0


_MISSED = "queries with no relevant image among the first ten:"


def _print(lines: list[str]) -> None:
    print("\n".join(lines))


if __name__ == "__main__":
    sys.exit(main())
