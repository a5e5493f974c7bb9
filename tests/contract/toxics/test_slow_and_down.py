"""Stores that are late, slow or not there: said in the documented words, and right once healed."""

import itertools
import threading
import time
import uuid
from collections.abc import Callable, Iterator

import pytest

from doors import stream
from lockstep.local.engines.pins import EngineName
from shared.quarantine import QuarantineError
from tests.contract.toxics.exchanges import ENGINES, Exchange, set_aside
from tests.contract.toxics.puts import VERSIONS, arrivals, image_id, line_to, put
from tests.toxics import Direction, Latency, Slow, before

# Of the hasty client; a busy machine may need longer for an answer, and is asked again.
HASTE, PATIENCE = 0.5, 20.0
TOO_LATE = Latency(1.5)
SLOW = Slow(5_000)
HEALED_WITHIN_SECONDS = 60.0

_numbers = itertools.count()


@pytest.fixture(scope="module", params=list(ENGINES))
def name(request: pytest.FixtureRequest) -> EngineName:
    found: EngineName = request.param
    return found


@pytest.fixture
def hasty(name: EngineName, engine: Callable[[EngineName], str]) -> Iterator[Exchange]:
    with ENGINES[name](engine(name), patience=HASTE) as made:
        yield made


@pytest.fixture
def patient(name: EngineName, engine: Callable[[EngineName], str]) -> Iterator[Exchange]:
    with ENGINES[name](engine(name), patience=PATIENCE) as made:
        yield made


def healed(exchange: Exchange, number: int) -> None:
    """Brought again as often as it takes, it is done, and rightly."""
    deadline = time.monotonic() + HEALED_WITHIN_SECONDS
    while exchange.had(number) != "done":
        assert time.monotonic() < deadline
    assert exchange.is_whole(number)


@pytest.mark.parametrize("direction", ["up", "down"])
def test_what_takes_longer_than_the_client_waits_is_not_done_and_may_land_later(
    hasty: Exchange, direction: Direction
) -> None:
    number = next(_numbers)
    hasty.proxy.give(direction, TOO_LATE)
    assert hasty.had(number) == "not done"
    hasty.proxy.heal()
    healed(hasty, number)
    time.sleep(TOO_LATE.seconds)  # the request that was given up is there by now
    assert hasty.is_whole(number)


@pytest.mark.parametrize("direction", ["up", "down"])
def test_what_is_late_or_slow_is_done_for_one_who_waits(
    patient: Exchange, direction: Direction
) -> None:
    for toxic in (Latency(0.1), SLOW):
        number = next(_numbers)
        patient.proxy.give(direction, toxic)
        assert patient.had(number) == "done"
        assert patient.is_whole(number)


def test_what_is_down_is_not_done_until_it_is_up(patient: Exchange) -> None:
    number = next(_numbers)
    patient.proxy.go_down()
    assert patient.had(number) == "not done"
    assert patient.had(number) == "not done"
    patient.proxy.come_up()
    healed(patient, number)


@pytest.mark.parametrize("direction", ["up", "down"])
@pytest.mark.parametrize("toxic", [Latency(0.1), SLOW])
def test_a_producer_puts_once_what_is_late_or_slow(
    kinesis_endpoint: str, direction: Direction, toxic: Latency | Slow
) -> None:
    with line_to(kinesis_endpoint) as (stream, direct, proxy, through):
        proxy.give(direction, toxic)
        assert put(through, stream, 1).resent == 0
        assert arrivals(direct, stream) == {image_id(name, 1): VERSIONS[name] for name in VERSIONS}


def test_a_producer_waits_for_a_stream_that_is_down(kinesis_endpoint: str) -> None:
    with line_to(kinesis_endpoint) as (stream, direct, proxy, through):
        proxy.go_down()
        later = threading.Timer(0.5, proxy.come_up)
        later.start()
        assert put(through, stream, 1).resent > 0
        later.join()
        assert arrivals(direct, stream) == {image_id(name, 1): VERSIONS[name] for name in VERSIONS}


def test_the_handlers_quarantine_sends_no_expect_header(
    s3_endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket = f"bucket-{uuid.uuid4()}"
    with before(s3_endpoint) as proxy:
        for variable, value in {
            "AWS_ACCESS_KEY_ID": "local",
            "AWS_SECRET_ACCESS_KEY": "local",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ENDPOINT_URL_S3": proxy.url,
            "QUARANTINE_BUCKET": bucket,
        }.items():
            monkeypatch.setenv(variable, value)
        quarantine = stream.quarantine.__wrapped__()  # past its cache
        with pytest.raises(QuarantineError, match="NoSuchBucket"):
            quarantine.put(set_aside(next(_numbers)))
        sent = proxy.carried("up").lower()
    assert b"put /" in sent
    assert b"100-continue" not in sent
