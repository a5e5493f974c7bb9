"""The door of the judged set: `python -m tests.relevance [--accept]`."""

import argparse
import sys

from opensearchpy import OpenSearch

from functions.search_images.search import search
from functions.write_to_es.aliases import live_alias
from tests.engines import engines_for_tests
from tests.relevance.figures import accept, accepted_figures, measure, missed, table, wrong
from tests.relevance.index import indexed
from tests.relevance.judged import judged


def main() -> int:
    """Measure on an engine of our own; says 1 when figures fell."""
    parser = argparse.ArgumentParser(description="How well what must be found is found.")
    parser.add_argument("--accept", action="store_true", help="let these be the accepted figures")
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
    lines = [*table(measured), "", "nothing relevant among the first ten:", *missed(measured)]
    lines += (findings := wrong(measured, accepted_figures()))
    print("\n".join(lines))  # noqa: T201 - a program that prints
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
