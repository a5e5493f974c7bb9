"""Measure the latency of the search, with as many images as the whole collection has.

    python -m benchmarks.search [IMAGES] [SECONDS]

The images are copies of the 2,000 in data/tate-2000.ndjson and of the 500 made-up names in many
scripts. Each copy spells the rare words in another way, so that the index's dictionary grows as
with real images. The queries are the judged ones, with their typing errors. 20 queries per second
are sent, even if earlier ones have no answer yet. The time of a query begins when it is due, so
waiting counts. Then the same queries run as a plain `multi_match`, which tolerates no typing errors
and highlights nothing. At the end it prints the size of the index, merged to one segment.
"""

import math
import random
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import batched

import msgspec
import psutil
from opensearchpy import OpenSearch
from opensearchpy.exceptions import OpenSearchException

from functions.search_images.search import TooSlowError, search
from functions.write_to_es.aliases import live_alias
from functions.write_to_es.index import ensure_index
from shared.change import Change
from shared.event import Image
from tools.engines import engines_for_tests
from tools.relevance.collection import events, spread, words_in
from tools.relevance.generated import DISTINCTIVE
from tools.relevance.index import change_for, write
from tools.relevance.judged import judged
from tools.relevance.made_up import judged_names, made_up_events

IMAGES = 69_202
SECONDS = 60
A_SECOND = 20
WARM_UP_SECONDS = 15
ALIAS = "images"
# The limits in milliseconds, on two cores without other load.
MEDIAN, P99 = 50, 250
PLAIN_FIELDS = ["name^3", "description", "tags", "everything"]

type Ask = Callable[[str], object]


def images(count: int) -> Iterator[Change]:
    """This many images; each copy has its own ids and rare words."""
    originals = [*events(), *made_up_events()]
    rare = {word for word, many in spread().items() if many <= DISTINCTIVE and word.isalpha()}
    for number in range(count):
        again, at = divmod(number, len(originals))
        event = originals[at]
        if again and isinstance(event.image, Image):
            name = event.image.name
            if name.isascii():
                words = words_in(name)
                name = " ".join(_otherwise(one, again) if one in rare else one for one in words)
            event = msgspec.structs.replace(
                event,
                image_id=f"{event.image_id}-{again}",
                image=msgspec.structs.replace(event.image, name=f"{name} {again}"),
            )
        yield change_for(event)


def _otherwise(word: str, again: int) -> str:
    letters = list(word)
    random.Random(f"{again} {word}").shuffle(letters)
    return "".join(letters)


def load(client: OpenSearch, count: int) -> None:
    """Write the images to the index, as the function `write_to_es` does."""
    ensure_index(client, ALIAS)
    for some in batched(images(count), 1000):
        write(client, ALIAS, some)
    client.indices.refresh(index=ALIAS)


def drawn(count: int) -> Sequence[str]:
    """This many judged queries, always the same; a third of them over made-up names."""
    chance = random.Random(1)
    real, names = ([one.query for one in some] for some in (judged(), judged_names()))
    return [chance.choice(names if chance.randrange(3) == 0 else real) for _ in range(count)]


def asked(ask: Ask, queries: Sequence[str]) -> list[float]:
    """Send the queries when they are due; return the seconds until each answer, sorted.

    A query without an answer counts as infinite.
    """
    begins = time.perf_counter()

    def answered(due: float, query: str) -> float:
        try:
            ask(query)
        except (TooSlowError, OpenSearchException):
            return math.inf
        return time.perf_counter() - due

    waits: list[Future[float]] = []
    with ThreadPoolExecutor(max_workers=200) as people:
        for number, query in enumerate(queries):
            due = begins + number / A_SECOND
            time.sleep(max(0.0, due - time.perf_counter()))
            waits.append(people.submit(answered, due, query))
    return sorted(wait.result() for wait in waits)


def engine_seconds() -> float:
    """The processor time of the engine, in seconds."""
    return sum(
        sum(child.cpu_times()[:2])
        for child in psutil.Process().children(recursive=True)
        if child.name() == "java"
    )


def megabytes(client: OpenSearch) -> float:
    """The size of the index, merged to one segment."""
    client.indices.forcemerge(index=ALIAS, params={"max_num_segments": "1", "timeout": 600})
    client.indices.flush(index=ALIAS)
    client.indices.refresh(index=ALIAS)  # removes the files of the merged segments
    stats = client.indices.stats(index=ALIAS, metric="store")
    size: int = stats["_all"]["primaries"]["store"]["size_in_bytes"]
    return size / 1_000_000


def main() -> None:
    """Load the images, warm up, measure both kinds of query, and print a table."""
    given = [int(word) for word in sys.argv[1:]]
    count, seconds = [*given, *(IMAGES, SECONDS)[len(given) :]]
    queries = drawn((WARM_UP_SECONDS + seconds) * A_SECOND)
    warm_up, measured = queries[: WARM_UP_SECONDS * A_SECOND], queries[-seconds * A_SECOND :]
    with engines_for_tests() as endpoint:
        client = OpenSearch([endpoint("opensearch")], timeout=60, max_retries=0, pool_maxsize=200)
        began = time.monotonic()
        load(client, count)
        print(f"{count:,} images written in {time.monotonic() - began:.0f} s")
        live = live_alias(ALIAS)

        def ours(query: str) -> object:
            return search(client, live, query)

        def plain(query: str) -> object:
            match = {"multi_match": {"query": query, "fields": PLAIN_FIELDS}}
            return client.search(index=live, body={"query": match})

        print(f"{A_SECOND} queries per second for {seconds} s, {psutil.cpu_count()} cores")
        print(f"{'milliseconds':<14}{'median':>8}{'90 %':>8}{'99 %':>8}{'max':>8}{'engine':>8}")
        for name, ask in (("search", ours), ("multi_match", plain)):
            asked(ask, warm_up)
            before = engine_seconds()
            waits = asked(ask, measured)
            took = (engine_seconds() - before) / len(waits)
            shown = [waits[int(len(waits) * share)] for share in (0.5, 0.9, 0.99)]
            row = [1000 * one for one in (*shown, waits[-1], took)]
            print(f"{name:<14}" + "".join(f"{one:>8.1f}" for one in row))
        print(f"the index has {megabytes(client):.1f} MB")
        print(f"goal for search on an idle machine: median < {MEDIAN}, 99 % < {P99}")


if __name__ == "__main__":
    main()
