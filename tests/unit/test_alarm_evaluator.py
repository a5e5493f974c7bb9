"""The evaluator of alarms says what CloudWatch's page says of its examples."""

import pytest

from lockstep.local.metrics import EmittedMetric, MetricPoint
from tests.alarm_evaluator import (
    Names,
    OutageMoment,
    State,
    breaches_in,
    composite_state,
    state_of,
    told_at,
)
from tools.template.alarms import MetricOfAlarm, TemplateAlarm

METRIC = EmittedMetric("N", "M", ())
NOW = 1_795_248_000
NOBODY = Names({})


def alarm(
    missing: str = "notBreaching",
    *,
    expression: str | None = None,
    statistic: str = "Maximum",
    to_alarm: int = 3,
) -> TemplateAlarm:
    return TemplateAlarm(
        logical_id="A",
        name="a",
        severity="page",
        says="",
        page="",
        metrics={"m": MetricOfAlarm("N", "M", (), statistic, 60)},
        rule_values={},
        expression=expression,
        periods=3,
        to_alarm=to_alarm,
        comparison="GreaterThanThreshold",
        threshold=5.0,
        missing=missing,
        actions=(),
        ok_actions=(),
    )


def points(drawn: str) -> list[MetricPoint]:
    """Five minutes: `0` is within the threshold, `X` breaches it, `-` is missing."""
    values = {"0": 0.0, "X": 9.0}
    return [
        MetricPoint(METRIC, NOW - 60 * (5 - at), values[one], 1)
        for at, one in enumerate(drawn.split())
        if one in values
    ]


@pytest.mark.parametrize(
    ("drawn", "breaching", "not_breaching"),
    [
        ("0 - X - X", "OK", "OK"),
        ("0 - - - -", "OK", "OK"),
        ("- - - - -", "ALARM", "OK"),
        ("0 X X - X", "ALARM", "ALARM"),
        ("- - X - -", "ALARM", "OK"),
    ],
)
def test_what_is_there_counts_before_what_is_missing(
    drawn: str, breaching: State, not_breaching: State
) -> None:
    """Three of three, as in the table of the page."""
    found = [
        state_of(alarm(missing), points(drawn), NOBODY, at=NOW)
        for missing in ("breaching", "notBreaching")
    ]
    assert found == [breaching, not_breaching]


@pytest.mark.parametrize(
    ("drawn", "state"), [("0 0 X 0 X", "ALARM"), ("X X X 0 0", "OK"), ("0 X 0 0 X", "OK")]
)
def test_some_of_the_periods_may_be_enough(drawn: str, state: State) -> None:
    assert state_of(alarm(to_alarm=2), points(drawn), NOBODY, at=NOW) == state


def test_the_present_period_does_not_count() -> None:
    drawn = points("0 0 X X X")
    assert state_of(alarm(), drawn, NOBODY, at=NOW + 59) == "ALARM"
    assert state_of(alarm(), drawn, NOBODY, at=NOW - 1) == "OK"


@pytest.mark.parametrize(
    ("expression", "state"),
    [("FILL(m, 9)", "ALARM"), ("FILL(m, -1)", "OK"), ("m * 2", "OK"), ("9 / FILL(m, 0)", "OK")],
)
def test_an_expression_fills_what_is_missing(expression: str, state: State) -> None:
    assert state_of(alarm(expression=expression), [], NOBODY, at=NOW) == state


@pytest.mark.parametrize(
    ("statistic", "state"), [("Sum", "ALARM"), ("Maximum", "OK"), ("p50", "OK"), ("Minimum", "OK")]
)
def test_values_of_a_minute_are_one_value(statistic: str, state: State) -> None:
    drawn = [MetricPoint(METRIC, NOW - 60 * back, 2.0, 3) for back in (1, 2, 3)]
    assert state_of(alarm(statistic=statistic), drawn, NOBODY, at=NOW) == state


def test_an_alarm_on_dynamodb_needs_an_expression() -> None:
    metrics = {"m": MetricOfAlarm("AWS/DynamoDB", "M", (), "Sum", 60)}
    with pytest.raises(NotImplementedError, match="DynamoDB"):
        state_of(alarm()._replace(metrics=metrics), [], NOBODY, at=NOW)


def test_a_metric_has_the_names_of_the_local_stack() -> None:
    template = MetricOfAlarm(
        "Lockstep/${AWS::StackName}", "M", (("FunctionName", {"Ref": "F"}),), "Sum", 60
    )
    emitted = Names({"F": "write_to_es"}).emitted(template)
    assert emitted == EmittedMetric("Lockstep/lockstep", "M", (("FunctionName", "write_to_es"),))


def test_the_window_slides_each_minute() -> None:
    metrics = {"m": MetricOfAlarm("N", "M", (), "Sum", 300)}
    one = alarm(to_alarm=1)._replace(metrics=metrics, periods=1)
    drawn = [MetricPoint(METRIC, NOW - 60, 9.0, 1)]
    states = [state_of(one, drawn, NOBODY, at=NOW + 60 * minute) for minute in (-1, 0, 4)]
    assert states == ["OK", "ALARM", "ALARM"]


def test_an_alarm_that_ignores_what_is_missing_stays_as_it_is() -> None:
    one = alarm("ignore", to_alarm=1)._replace(periods=1)
    assert state_of(one, [], NOBODY, at=NOW) == "INSUFFICIENT_DATA"
    for drawn, state in (("X - - - -", "ALARM"), ("X 0 - - -", "OK")):
        for later in (0, 86_400):
            assert state_of(one, points(drawn), NOBODY, at=NOW + later) == state


def test_a_period_alone_breaches_or_has_no_value() -> None:
    assert breaches_in(alarm(), points("0 - - - X"), NOBODY) is True
    assert breaches_in(alarm(), points("0 - - - -"), NOBODY) is False
    assert breaches_in(alarm(), [], NOBODY) is None


OUTAGE = {
    "AlarmRule": {"Fn::Join": [" OR ", [{"Fn::Sub": 'ALARM("${A}") OR ALARM("${B}")'}, "FALSE"]]},
    "ActionsSuppressorWaitPeriod": 120,
    "ActionsSuppressorExtensionPeriod": 300,
}


def test_a_composite_alarm_is_on_with_any_of_its_alarms() -> None:
    assert composite_state(OUTAGE, {"B", "C"}) == "ALARM"
    assert composite_state(OUTAGE, {"C"}) == "OK"
    with pytest.raises(NotImplementedError):
        composite_state({"AlarmRule": {"Fn::Join": [" OR ", ["NOT A"]]}}, {"A"})


@pytest.mark.parametrize(
    ("drawn", "told"),
    [
        ("o ! ! !", 180),  # its suppressor had two minutes to go on
        ("o ! P P P o", None),
        ("P P ! ! ! ! ! o", None),  # it had five minutes to go off
        ("P P ! ! ! ! ! !", 420),
        ("P ! ! o ! ! !", 360),
    ],
)
def test_a_composite_alarm_tells_unless_it_is_suppressed(drawn: str, told: int | None) -> None:
    """Each minute: `!` is on, `P` is on and suppressed, `o` is neither."""
    history = [
        OutageMoment(60 * minute, one in "!P", one == "P")
        for minute, one in enumerate(drawn.split())
    ]
    assert told_at(OUTAGE, history) == told
