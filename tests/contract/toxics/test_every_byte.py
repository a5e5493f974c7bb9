"""A connection lost at any byte of a request or of its answer: nothing false is said of it.

An exchange with each real store is cut after 0 bytes, after 1 and so on, by a reset and by an end
that looks orderly; then it is had again, over connections that are whole. How many of the bytes
are tried says `--cut-every`.
"""

import itertools
from collections import Counter
from collections.abc import Callable, Iterator

import pytest

from lockstep.local.engines.pins import EngineName
from tests.contract.toxics.exchanges import ENGINES, Exchange, bodies
from tests.contract.toxics.puts import (
    VERSIONS,
    arrivals,
    image_id,
    impatient,
    line_to,
    put,
)
from tests.toxics import Direction, Reset, Truncate

type Cut = type[Reset | Truncate]

# A cut must be noticed, not waited for: far beyond what any answer takes.
PATIENCE = 20.0
# Of the bytes at the beginning and the end of a body, resets try every one.
AT_EDGES = 32

all_cuts = pytest.mark.parametrize("cut", [Reset, Truncate])
both_directions = pytest.mark.parametrize("direction", ["up", "down"])


@pytest.fixture(scope="module", params=list(ENGINES))
def exchange(
    request: pytest.FixtureRequest, engine: Callable[[EngineName], str]
) -> Iterator[Exchange]:
    with ENGINES[request.param](engine(request.param), patience=PATIENCE) as made:
        yield made


@pytest.fixture(scope="module")
def numbers() -> Iterator[int]:
    return itertools.count()


class Trials:
    """Which bytes are tried, told when it is done: how much was tried is part of the result."""

    def __init__(self, every: int, capsys: pytest.CaptureFixture[str]) -> None:
        self._every = every
        self._capsys = capsys

    def places(self, messages: bytes, cut: Cut) -> list[int]:
        """Every so manieth byte; by resets also all about the boundaries of headers and bodies."""
        found = set(range(0, len(messages), self._every))
        if cut is Reset:
            for start, end in bodies(messages):
                found.update(range(start - 4, start + AT_EDGES))
                found.update(range(end - AT_EDGES, end + 4))
        return sorted(found & set(range(len(messages))))

    def tell(self, line: str) -> None:
        with self._capsys.disabled():
            print(f"\n{line} (--cut-every {self._every})")  # noqa: T201 - see above


@pytest.fixture
def trials(pytestconfig: pytest.Config, capsys: pytest.CaptureFixture[str]) -> Trials:
    return Trials(pytestconfig.getoption("--cut-every"), capsys)


@all_cuts
@both_directions
def test_a_write_cut_at_any_byte_is_said_to_be_done_only_where_it_is(
    exchange: Exchange,
    direction: Direction,
    cut: Cut,
    numbers: Iterator[int],
    trials: Trials,
) -> None:
    proxy = exchange.proxy
    assert exchange.had(next(numbers)) == "done"  # and there is a connection, kept alive
    proxy.heal()
    assert exchange.had(next(numbers)) == "done"
    messages = proxy.carried(direction)
    said: Counter[str] = Counter()
    for after, number in zip(trials.places(messages, cut), numbers, strict=False):
        proxy.give(direction, cut(after))
        try:
            first = exchange.had(number)
            was_cut = proxy.cuts > 0
            proxy.heal()
            assert exchange.had(number) == "done"
            assert exchange.is_whole(number)
        except BaseException as error:
            error.add_note(f"{direction}: {cut(after)}")
            raise
        said[first] += was_cut
        # Dates and numbers may make an exchange a few bytes shorter than the first one.
        assert was_cut or (first == "done" and after > len(messages) - AT_EDGES)
    assert said["not done"] > 0
    trials.tell(
        f"{cut.__name__} {direction} at {said.total()} of {len(messages)} bytes: {dict(said)}"
    )


@all_cuts
@both_directions
def test_a_producer_cut_at_any_byte_loses_nothing_and_keeps_each_images_order(
    kinesis_endpoint: str, direction: Direction, cut: Cut, trials: Trials
) -> None:
    with line_to(kinesis_endpoint) as (stream, direct, proxy, through):
        assert put(through, stream, 0).resent == 0
        proxy.heal()
        assert put(through, stream, 1).resent == 0
        messages = proxy.carried(direction)
        tried = dict(enumerate(trials.places(messages, cut), start=2))
        resent = dict.fromkeys([0, 1], 0)
        for number, after in tried.items():
            proxy.give(direction, cut(after, once=True))
            try:
                resent[number] = put(through, stream, number, impatient()).resent
            except BaseException as error:
                error.add_note(f"{direction}: {cut(after)}")
                raise
            assert bool(resent[number]) == bool(proxy.cuts), (direction, cut(after))
            proxy.heal()
        on_stream = arrivals(direct, stream)
    for number, its_resent in resent.items():
        for name, versions in VERSIONS.items():
            arrived = on_stream[image_id(name, number)]
            # A repeated one is behind itself, never behind a later one.
            assert arrived == sorted(arrived)
            assert sorted(set(arrived)) == versions
        arrived_twice = sum(
            len(on_stream[image_id(name, number)]) - len(versions)
            for name, versions in VERSIONS.items()
        )
        # A request that was cut is none; only where its answer was cut it comes twice.
        assert arrived_twice == (its_resent if direction == "down" else 0)
    assert sum(resent.values()) > 0
    trials.tell(
        f"{cut.__name__} {direction} at {len(tried)} of {len(messages)} bytes of PutRecords"
    )
