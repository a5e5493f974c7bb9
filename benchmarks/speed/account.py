"""Where the instructions of an invocation go, by part: the search API, and a record by itself.

    python -m benchmarks.speed.account NAME WORK SEGMENTS

callgrind knows the functions of the interpreter, not those of Python. So the functions of the
libraries and of the product that begin a part are marked: callgrind writes its counters when one is
called and when it returns, and what it counted in between belongs to the innermost of them. The
parts of an invocation add up to all of it, with the marks, which cost about 2,000 instructions a
call.
"""

import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial, wraps
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec

from benchmarks import cold_start
from benchmarks.speed import searching
from benchmarks.speed.consumers import PROGRAMS as CONSUMERS
from benchmarks.speed.counting import counted_between, mark
from benchmarks.speed.programs import stores
from benchmarks.speed.workload import LambdaContext, events, invocations

WARM_UP, MEASURED = 20, 10
_HTTP = ("urllib3.connectionpool:HTTPConnectionPool.urlopen",)
_LOG = (
    "aws_lambda_powertools.logging.logger:Logger.append_keys",
    "aws_lambda_powertools.logging.logger:Logger.info",
)
_METRICS = (
    "aws_lambda_powertools.metrics.metrics:Metrics.add_metric",
    "aws_lambda_powertools.metrics.metrics:Metrics.flush_metrics",
)
_INDEX = {
    "client of the index": ("opensearchpy.transport:Transport.perform_request",),
    "encode the request": ("doors.opensearch:_Json.dumps",),
    "decode the answer": ("doors.opensearch:_Json.loads",),
    "signature": ("doors.signing:IndexSigner.__call__",),
    "HTTP (urllib3)": _HTTP,
}
_CONSUMER = {
    "log lines": _LOG,
    "metrics": _METRICS,
    "delivery: decode, digest, fold": ("doors.stream:deliver",),
}
SEARCH = "search API"
REST = "the rest of the handler"
# What begins a part: module, and function or method in it.
PARTS: Mapping[str, Mapping[str, Sequence[str]]] = {
    SEARCH: {
        "route, answer": ("functions.search_images.api:Api.answer",),
        "read the parameters": ("functions.search_images.api:images_request",),
        "read the text": ("functions.search_images.search:parse_query",),
        "make the query": (
            "functions.search_images.search:page",
            "functions.search_images.search:_page_query",
        ),
        "the highlights in the query": ("functions.search_images.search:_highlight",),
        "the suggester in the query": ("functions.search_images.spelling:dictionary_query",),
        "make the result": ("functions.search_images.search:_result",),
        "encode the result": ("functions.search_images.api:_json",),
        **_INDEX,
    },
    "indexer": {
        **_CONSUMER,
        "the sink": (
            "functions.write_to_es.sink:ImageIndex.send",
            "functions.write_to_es.sink:ImageIndex.requests",
        ),
        **_INDEX,
    },
    "writer": {
        **_CONSUMER,
        "the sink": ("functions.write_to_dynamodb.sink:ImageTable.send",),
        "client of the table (botocore)": ("botocore.client:BaseClient._make_api_call",),
        "endpoint": ("botocore.client:BaseClient._resolve_endpoint_ruleset",),
        "prepare the request": ("botocore.endpoint:Endpoint.create_request",),
        "signature": ("botocore.signers:RequestSigner.sign",),
        "parse the answer": ("botocore.parsers:ResponseParser.parse",),
        "HTTP (urllib3)": _HTTP,
    },
}


def place_of(function: str) -> tuple[Any, str]:
    """The module or class that has this function, and its name there."""
    module, _, path = function.partition(":")
    *outer, name = path.split(".")
    place: Any = import_module(module)
    for one in outer:
        place = getattr(place, one)
    return place, name


class Marks:
    """Marks the functions that begin a part, while `on`."""

    def __init__(self) -> None:
        self.on = False
        self.ended: list[str] = []  # what ended at each mark
        self._active = [REST]

    def add(self, part: str, function: str) -> None:
        """Let this function begin the part."""
        place, name = place_of(function)
        setattr(place, name, self._marked(getattr(place, name), part))

    def mark(self) -> None:
        """End what was active until now."""
        if self.on:
            self.ended.append(self._active[-1])
            mark()

    def _marked(self, call: Callable[..., Any], part: str) -> Callable[..., Any]:
        active = self._active

        @wraps(call)
        def marked(*args: Any, **kwargs: Any) -> Any:
            if active[-1] == part:
                return call(*args, **kwargs)
            self.mark()
            active.append(part)
            try:
                return call(*args, **kwargs)
            finally:
                self.mark()
                active.pop()

        return marked


def _asks(name: str, work: Path) -> Sequence[Callable[[], object]]:
    """The invocations of a program, one after another."""
    if name == SEARCH:
        return [searching.ours()] * (WARM_UP + MEASURED)
    handle, context = CONSUMERS[name](), LambdaContext()
    found = msgspec.json.decode(work.read_bytes())
    return [partial(handle, event, context) for event in found]


def account(name: str, environment: Mapping[str, str], work: Path) -> Sequence[tuple[str, float]]:
    """The parts of an invocation and their instructions, the most expensive first."""
    found: dict[str, float] = defaultdict(float)
    words = ["-m", "benchmarks.speed.account", name, str(work)]
    for part, instructions in counted_between(Path(sys.executable), words, environment):
        found[part] += instructions / MEASURED
    return sorted(found.items(), key=lambda one: -one[1])


def accounts() -> Iterator[tuple[str, Sequence[tuple[str, float]]]]:
    """Each program, and its account."""
    with (
        stores() as (environment, _),
        cold_start.stores() as address,
        TemporaryDirectory() as folder,
    ):
        work = Path(folder) / "events.json"
        work.write_bytes(msgspec.json.encode([*invocations([*events(WARM_UP + MEASURED)], 1)]))
        searches = searching.environment(environment, address)
        for name in PARTS:
            yield name, account(name, searches if name == SEARCH else environment, work)


def tables() -> str:
    """The accounts in Markdown."""
    return "\n\n".join(account_table(name, parts) for name, parts in accounts())


def account_table(name: str, parts: Sequence[tuple[str, float]]) -> str:
    """An account in Markdown."""
    whole = sum(instructions for _, instructions in parts)
    lines = [f"| {name} | instructions | share |", "| --- | ---: | ---: |"]
    lines += [
        f"| {part} | {instructions / 1000:,.0f} k | {instructions / whole:.0%} |"
        for part, instructions in [*parts, ("all, with the marks", whole)]
    ]
    return "\n".join(lines)


def main() -> None:
    """Print the accounts, or measure one."""
    if len(sys.argv) == 1:
        print(tables())
        return
    name, work, to = sys.argv[1:]
    asks, marks = _asks(name, Path(work)), Marks()
    for part, functions in PARTS[name].items():
        for function in functions:
            marks.add(part, function)
    for ask in asks[:WARM_UP]:
        ask()
    marks.on = True
    marks.mark()
    for ask in asks[WARM_UP:]:
        ask()
    marks.mark()
    Path(to).write_bytes(msgspec.json.encode(marks.ended))


if __name__ == "__main__":
    main()
