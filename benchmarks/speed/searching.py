"""The programs that are compared as searches: the API of the search, and a plain search.

    python -m benchmarks.speed.searching NAME UNUSED SEGMENTS

The stub of `benchmarks.cold_start` answers both.
"""

import itertools
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.cold_start import ALIAS
from benchmarks.speed.counting import ROOT, segment
from benchmarks.speed.workload import LambdaContext

WARM_UP, MEASURED = 10, 10
QUERY = {"query": {"multi_match": {"query": "chapel", "fields": ["name^3", "description", "tags"]}}}


def ours() -> Callable[[], object]:
    """The search API: a request as API Gateway passes it."""
    from functions.search_images.handler import handle  # noqa: PLC0415

    event = msgspec.json.decode((ROOT / "events" / "http" / "search.json").read_bytes())
    context: Any = LambdaContext()
    numbers = itertools.count()

    def ask() -> None:
        # Each request has other words, so nothing that is kept of a word helps the next one.
        letters = "".join(chr(ord("a") + digit) for digit in divmod(next(numbers), 26))
        query = event["rawQueryString"]
        for begin in ("S", "Cath", "Chap", "Dor"):
            query = query.replace(begin, begin[: -len(letters)] + letters)
        answer = handle({**event, "rawQueryString": query}, context)
        if answer["statusCode"] != 200:  # noqa: PLR2004 - OK
            raise RuntimeError(answer)

    return ask


def plain() -> Callable[[], object]:
    """`client.search`, as the documentation of opensearch-py shows."""
    from benchmarks.speed.consumers import opensearch_client  # noqa: PLC0415

    client, alias = opensearch_client(), os.environ["LIVE_ALIAS"]
    return lambda: msgspec.json.encode(client.search(index=alias, body=QUERY))


def environment(of_stores: Mapping[str, str], address: str) -> Mapping[str, str]:
    """The environment of these programs: that of the stores, with the index at this address."""
    index = {"OPENSEARCH_ENDPOINT": address, "INDEX_ALIAS": ALIAS, "LIVE_ALIAS": f"{ALIAS}-live"}
    return {**of_stores, **index}


PROGRAMS: Mapping[str, Callable[[], Callable[[], object]]] = {
    "search API": ours,
    "client.search": plain,
}


def main() -> None:
    """Search, and write the segment."""
    name, _, to = sys.argv[1:]
    ask = PROGRAMS[name]()
    for _ in range(WARM_UP):
        ask()

    def work() -> None:
        for _ in range(MEASURED):
            ask()

    Path(to).write_bytes(msgspec.json.encode([segment("search", MEASURED, work)]))


if __name__ == "__main__":
    main()
