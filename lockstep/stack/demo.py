"""The demo: put real data into a stack, wait, audit, and search."""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import msgspec

from functions.search_images.search import SearchResult
from lockstep.console.errors import UserError
from lockstep.producing.checked import CheckedEvent
from lockstep.producing.sources import BadLine
from lockstep.stack.clients import Clients
from lockstep.stack.use_cases.audit import audit
from lockstep.stack.use_cases.consumers import wait
from lockstep.stack.use_cases.put import put
from lockstep.stack.use_cases.search import search, search_request

# Both words have a typo; the data has the Thames at Richmond Hill.
QUERY = "richmnd tames"
CATCH_UP_SECONDS = 600.0


class Demo(msgspec.Struct, frozen=True):
    """The results of the demo.

    `table` and `index` count the images that the audit read in each store. `seconds` has the
    duration of each step.
    """

    put: int
    table: int
    index: int
    audit: str
    search: SearchResult
    seconds: dict[str, float]

    @property
    def succeeded(self) -> bool:
        """Whether both stores are equal and have everything that was put."""
        return self.audit == "equal" and self.put == self.table == self.index


class DemoError(UserError):
    """The demo cannot continue; the message says why."""


class Steps:
    """Times the steps of the demo, and reports each at its end: name, seconds, result."""

    def __init__(self, tell: Callable[[str, float, str], None]) -> None:
        self.seconds: dict[str, float] = {}
        self._tell = tell

    @contextmanager
    def step(self, name: str) -> Iterator[list[str]]:
        """Time one step; the strings appended to the list are reported at its end."""
        results: list[str] = []
        started = time.monotonic()
        yield results
        self.seconds[name] = round(time.monotonic() - started, 2)
        self._tell(name, self.seconds[name], " ".join(results))


def run(clients: Clients, events: Iterable[CheckedEvent | BadLine], steps: Steps) -> Demo:
    """Put these events, wait for both consumers, audit, search.

    Raises:
        DemoError: a line is not a valid event, or the consumers do not catch up.
    """
    with steps.step("put") as results:
        report = put(clients, _only_events(events))
        results.append(f"{report.put:,} events onto the stream")
    with steps.step("catch_up") as results:
        status = wait(clients, CATCH_UP_SECONDS)
        if not status.caught_up:
            message = f"the consumers did not catch up within {CATCH_UP_SECONDS:.0f} s"
            raise DemoError(message)
        results.append(
            f"both consumers have caught up; in quarantine: {status.quarantined_records:,}"
        )
    with steps.step("audit") as results:
        compared = audit(clients, lambda _store, _count: None)
        results.append(
            f"{compared.table:,} in the table, {compared.index:,} in the index: {compared.result}"
        )
    with steps.step("search") as results:
        found = search(clients, search_request(QUERY)).result
        results.append(f"{QUERY!r}: {found.total:,} found")
    return Demo(
        put=report.put,
        table=compared.table,
        index=compared.index,
        audit=compared.result,
        search=found,
        seconds=steps.seconds,
    )


def _only_events(lines: Iterable[CheckedEvent | BadLine]) -> Iterator[CheckedEvent]:
    for line in lines:
        if isinstance(line, BadLine):
            message = f"line {line.line}: {line.reason}: {line.detail}"
            raise DemoError(message)
        yield line
