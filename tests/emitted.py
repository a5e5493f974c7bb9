"""The log lines of the functions, as their handlers write them: with the real logger, into memory.

Each line is written by the code that a deployed function runs. Only stores are in memory.
"""

import inspect
import io
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from types import SimpleNamespace
from typing import Any

import msgspec
from aws_lambda_powertools import Logger, Metrics

from doors import stream
from doors.log import new_logger
from doors.logged_ids import HashedIds, LoggedIds, PlainIds
from shared.clock import Clock
from shared.deliver import deliver
from shared.envelope import IMAGE_EVENTS, Envelope
from shared.quarantine import Quarantine
from shared.sink import MisconfiguredError, Sink
from tests.simulation.rewired import rewired

# A second after the records of `tests.builders` arrived.
NOW = 1_795_248_001.0
CLOCK = Clock(now=lambda: NOW, elapsed=lambda: 0.0, sleep=lambda _: None, chance=lambda: 0.5)

type Line = Mapping[str, Any]


class Written:
    """What a logger has written."""

    def __init__(self, stream: io.StringIO) -> None:
        self._stream = stream

    @property
    def text(self) -> str:
        """All of it."""
        return self._stream.getvalue()

    @property
    def lines(self) -> list[Line]:
        """Each line, which must be a JSON object."""
        return [msgspec.json.decode(one, type=dict[str, Any]) for one in self.text.splitlines()]


@contextmanager
def logging_as(service: str, into: io.StringIO | None = None) -> Iterator[tuple[Logger, Written]]:
    """The logger of a function, and what it writes."""
    registered = logging.Logger.manager.loggerDict
    before = registered.pop(service, None)
    into = io.StringIO() if into is None else into
    try:
        yield new_logger(service, into), Written(into)
    finally:
        del registered[service]
        if before is not None:
            registered[service] = before


class Shelf:
    """A quarantine that takes everything."""

    longest_put = 1.0

    def put(self, record: object) -> None:
        pass


def context(request_id: str = "request-1") -> Any:
    """The context of an invocation."""
    return SimpleNamespace(
        function_name="lockstep-function",
        memory_limit_in_mb=512,
        invoked_function_arn="arn:aws:lambda:us-east-1:000000000000:function:lockstep-function",
        aws_request_id=request_id,
        get_remaining_time_in_millis=lambda: 60_000,
    )


def consumed(
    records: Sequence[Mapping[str, Any]],
    sink: Callable[[], Sink],
    logger: Logger,
    *,
    function: str = "write_to_dynamodb",
    key: str | None = None,
    envelope: Envelope = IMAGE_EVENTS,
    now: float = NOW,
    quarantine: Callable[[], Quarantine] = Shelf,
) -> None:
    """Run the handler's steps on a batch; a misconfiguration ends them, as in Lambda.

    Args:
        records: the batch.
        sink: returns the store.
        logger: gets the lines.
        function: the consumer.
        key: hashes the ids of images.
        envelope: the form of the records.
        now: the time, in seconds since 1970.
        quarantine: returns the quarantine.
    """

    def ids(batch: Iterator[str]) -> LoggedIds:
        return PlainIds() if key is None else HashedIds(key, batch)

    metrics = Metrics(namespace="Lockstep/tests", service=function)
    consume = rewired(
        inspect.unwrap(stream.consume_with),
        quarantine=quarantine,
        SYSTEM_CLOCK=Clock(
            now=lambda: now, elapsed=CLOCK.elapsed, sleep=CLOCK.sleep, chance=CLOCK.chance
        ),
        report=rewired(stream.report, logger=logger, metrics=metrics),
        log_batch=rewired(stream.log_batch, logger=logger),
        logged_ids=ids,
        logger=logger,
    )
    handle = logger.inject_lambda_context(consume)
    deliver_images = partial(deliver, envelope=envelope)
    try:
        handle(
            {"Records": records}, context(), sink=sink, function=function, deliver=deliver_images
        )
    except MisconfiguredError:
        pass
    finally:
        metrics.clear_metrics()
