"""Measure the relevance of the search: `python -m tools.relevance [--accept]`.

Starts its own OpenSearch, and prints the figures of each class of queries. The exit code is 1 if a
figure is below its minimum or below the accepted one, or if a query has no accepted figures.
"""

import argparse
import sys

from opensearchpy import OpenSearch

from functions.search_images.search import search
from functions.write_to_es.aliases import live_alias
from tools.engines import engines_for_tests
from tools.relevance.figures import accept, accepted_figures, measure, missed, table, wrong
from tools.relevance.index import indexed
from tools.relevance.judged import judged


def main() -> int:
    """Measure, and print; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tools.relevance", description=__doc__)
    parser.add_argument(
        "--accept", action="store_true", help="write these figures to tools/relevance/accepted.tsv"
    )
    asked = parser.parse_args()
    with engines_for_tests() as endpoint:
        client = OpenSearch([endpoint("opensearch")], timeout=30, max_retries=0)
        with indexed(client) as alias:
            live = live_alias(alias)
            measured = measure(
                judged(), lambda text: [hit.image_id for hit in search(client, live, text).hits]
            )
    if asked.accept:
        accept(measured)
    lines = [
        *table(measured),
        "",
        "queries with no relevant image among the first ten:",
        *missed(measured),
    ]
    lines += (findings := wrong(measured, accepted_figures()))
    print("\n".join(lines))
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
