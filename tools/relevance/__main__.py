"""Measure the relevance of the search: `python -m tools.relevance`; `--help` shows the options.

Starts its own OpenSearch, and prints the figures of each class of queries: first those over the
real records, then those over the made-up names in many scripts. The exit code is 1 if a figure is
below its minimum or below the accepted one, or if a query has no accepted figures.
"""

import argparse
import sys

from opensearchpy import OpenSearch

from tools.engines import engines_for_tests
from tools.relevance.collection import events
from tools.relevance.figures import (
    Measured,
    accept,
    accepted_figures,
    missed,
    own_words_summary,
    own_words_unmet,
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
    parser.add_argument(
        "--names", action="store_true", help="measure only the made-up names, compare nothing"
    )
    parser.add_argument(
        "--shards", type=int, default=1, help="the number of shards of the index (default: 1)"
    )
    asked = parser.parse_args()
    real: list[Measured] = []
    with engines_for_tests() as endpoint:
        client = OpenSearch([endpoint("opensearch")], timeout=120, max_retries=0)
        if not asked.names:
            real = measured_in(client, events(), judged(), shards=asked.shards)
            _show(real)
        names = measured_in(client, made_up_events(), judged_names(), shards=asked.shards)
        _show(names)
    findings = own_words_unmet(names, own_words())
    if not asked.names:
        if asked.accept:
            accept([*real, *names])
        findings += wrong([*real, *names], accepted_figures())
    print("\n".join([own_words_summary(names, own_words()), *findings]))
    return 1 if findings else 0


def _show(measured: list[Measured]) -> None:
    title = "queries with no relevant image among the first ten:"
    print("\n".join([*table(measured), "", title, *missed(measured), ""]))


if __name__ == "__main__":
    sys.exit(main())
