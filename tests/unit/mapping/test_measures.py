"""What the mapping measures sets off the alarms of the template, evaluated as by CloudWatch."""

import time
from collections.abc import Mapping
from contextlib import closing
from functools import cache, partial
from pathlib import Path

import pytest

from lockstep.local.mapping.driver import Collaborators
from lockstep.local.mapping.failure import Destination as AnyDestination
from lockstep.local.mapping.measures import EmittedMeasures
from lockstep.local.mapping.response import Errored, Throttled
from lockstep.local.mapping.translation import translated
from lockstep.local.metrics import FILE, EmittedMetric, MetricRecorder, read_points
from lockstep.stack.stack import LOCAL_REGION
from lockstep.stream.checkpoints import Checkpoints
from lockstep.stream.stream import StreamRecord
from tests.alarm_evaluator import Names, State, state_of
from tests.unit.mapping.test_process import Destination, Function, Stream, record, run
from tools.template.alarms import EVERY_ALARM, TemplateAlarm, alarms
from tools.template.rendering import render
from tools.template.updates import TEMPLATE

METRIC = EmittedMetric("AWS/Lambda", "PolledEventCount", (("EventSourceMappingUUID", "u"),))
NAMES = Names({"WriteToDynamodb": "f", "WriteToDynamodbStream": "u"})
# A whole number of each period, so that what is emitted now is in the last one before NEXT.
NOW = 1_795_248_000
NEXT = NOW + 900
SIXTEEN_MINUTES = 16 * 60


@cache
def of_template() -> Mapping[str, TemplateAlarm]:
    rendered = render(translated(TEMPLATE, LOCAL_REGION), EVERY_ALARM)
    return {one.name: one for one in alarms(rendered)}


class Measured:
    """Runs a mapping, each time on a shard of its own at another time, and evaluates alarms."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._runs = 0

    def run(
        self,
        stream: Stream,
        function: Function,
        destination: AnyDestination | None = None,
        *,
        at: float = NOW,
        **settings: int,
    ) -> None:
        self._runs += 1
        path = self.folder / f"checkpoints-{self._runs}.db"
        recorder = MetricRecorder(self.folder, now=lambda: at)
        with (
            closing(Checkpoints(path, uuid="u", function="f", stream_arn="arn:stream")) as kept,
            closing(recorder),
        ):
            measures = EmittedMeasures(recorder.emit, mapping_uuid="u", function="f")
            world = Collaborators(stream, function, kept, destination, measures=measures)
            run(world, until=None, **settings)

    def state(self, alarm: str, *, at: float) -> State:
        return state_of(of_template()[alarm], read_points(self.folder), NAMES, at=at)


@pytest.fixture
def measured(tmp_path: Path) -> Measured:
    return Measured(tmp_path)


class WeekLong(Stream):
    """A stream that keeps records as long as that of the template does."""

    def retention(self) -> float:
        return 7 * 86_400.0


def old_record(number: str) -> StreamRecord:
    arrived_at = round((time.time() - SIXTEEN_MINUTES) * 1000)
    return StreamRecord(number, "key", b"data", arrived_at)


def test_a_consumer_that_reads_old_records_lags_until_it_reads_new_ones(measured: Measured) -> None:
    for minute in range(5):
        at = NOW + 60 * minute
        measured.run(Stream([old_record("1")]), Function(), at=at)
        state = "ALARM" if minute == 4 else "OK"
        assert measured.state("lags-table", at=at + 60) == state
    measured.run(Stream([record("1")]), Function(), at=NOW + 300)
    assert measured.state("lags-table", at=NOW + 360) == "OK"
    assert measured.state("loss-is-near-table", at=NEXT) == "OK"


def test_a_loss_is_near_when_half_of_the_record_age_has_passed(measured: Measured) -> None:
    arrived_at = round((time.time() - 3.1 * 86_400) * 1000)
    stream = WeekLong([StreamRecord("1", "key", b"data", arrived_at)])
    measured.run(stream, Function(), at=NOW)
    assert measured.state("loss-is-near-table", at=NOW + 300) == "ALARM"


def test_what_is_discarded_into_a_failure_document_is_a_ticket(measured: Measured) -> None:
    function, destination = Function(Errored("ValueError", "poison")), Destination()
    stream = Stream([record("1"), record("2")])
    measured.run(stream, function, destination, retries=0, batch_size=1)
    assert measured.state("discarded-table", at=NOW + 300) == "ALARM"
    assert measured.state("dropped-table", at=NOW + 300) == "OK"
    assert measured.state("delivery-failed-table", at=NOW + 300) == "OK"


def test_a_failure_document_that_cannot_be_written_is_a_page(measured: Measured) -> None:
    function, destination = Function(Errored("ValueError", "poison")), Destination(troubles=1)
    measured.run(Stream([record("1")]), function, destination, retries=0)
    assert measured.state("delivery-failed-table", at=NOW + 300) == "ALARM"


def test_what_is_discarded_without_a_destination_is_lost(measured: Measured) -> None:
    measured.run(Stream([record("1")]), Function(Errored("ValueError", "poison")), retries=0)
    assert measured.state("dropped-table", at=NOW + 300) == "ALARM"
    assert measured.state("discarded-table", at=NOW + 300) == "OK"


def test_a_consumer_that_fails_for_minutes_is_a_ticket(measured: Measured) -> None:
    for minute in range(3):
        function = Function(Errored("MisconfiguredError", "no right"))
        at = NOW + 60 * minute
        measured.run(Stream([record("1")]), function, at=at, retries=0)
        state = "ALARM" if minute == 2 else "OK"
        assert measured.state("errors-table", at=at + 60) == state


def test_throttled_invocations_are_no_errors(measured: Measured) -> None:
    measured.run(Stream([record("1")]), Function(Throttled()))
    emitted = {point.metric.name: point for point in read_points(measured.folder)}
    assert emitted["Throttles"].value == 1
    assert [
        point.value for point in read_points(measured.folder) if point.metric.name == "Errors"
    ] == [0]


def test_a_mapping_that_is_off_is_a_page_after_fifteen_minutes(measured: Measured) -> None:
    for at in range(NOW, NOW + 900, 300):
        measured.run(Stream([record("1")]), Function(), at=at)
    assert measured.state("not-reading-table", at=NEXT) == "OK"
    assert measured.state("not-reading-table", at=NEXT + 600) == "OK"
    # Fifteen minutes, not longer: what was there before does not count first.
    assert measured.state("not-reading-table", at=NEXT + 900) == "ALARM"
    measured.run(Stream([record("1")]), Function(), at=NEXT + 900)
    assert measured.state("not-reading-table", at=NEXT + 1200) == "OK"


def test_equal_values_of_a_minute_are_kept_once(tmp_path: Path) -> None:
    for _ in range(2):
        recorder = MetricRecorder(tmp_path, now=lambda: NOW + 59)
        with closing(recorder):
            for _ in range(1000):
                recorder.emit(METRIC, 0)
    (point,) = read_points(tmp_path)
    assert point.metric == METRIC
    assert (point.at, point.value, point.times) == (NOW, 0.0, 2000)


def test_points_are_kept_for_fifteen_days(tmp_path: Path) -> None:
    for days in (0, 14, 16):
        now = partial(float, NOW + days * 86_400)
        recorder = MetricRecorder(tmp_path, now=now)
        with closing(recorder):
            recorder.emit(METRIC, 1)
    assert [point.at - NOW for point in read_points(tmp_path)] == [14 * 86_400, 16 * 86_400]


def test_a_file_that_cannot_be_written_stops_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / FILE).mkdir()
    with closing(MetricRecorder(tmp_path)) as recorder:
        recorder.emit(METRIC, 1)
    assert "cannot be written" in caplog.text


def test_the_metrics_of_the_functions_are_read_from_their_logs(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    embedded = (
        b'{"_aws":{"Timestamp":1795248000500,"CloudWatchMetrics":[{"Namespace":"Lockstep/lockstep",'
        b'"Dimensions":[["service"]],"Metrics":[{"Name":"Applied","Unit":"Count"}]}]},'
        b'"service":"write_to_es","Applied":[2.0,3.0]}'
    )
    log = tmp_path / "logs" / "write_to_es.log"
    # The last line is being written.
    log.write_bytes(b"a line\n" + embedded + b"\n" + embedded[:99])
    metric = EmittedMetric("Lockstep/lockstep", "Applied", (("service", "write_to_es"),))
    assert read_points(tmp_path) == [(metric, NOW, 2.0, 1), (metric, NOW, 3.0, 1)]
