"""What an answer means: success and partial response (docs/internals/facts.md)."""

import pytest

from lockstep.local.mapping.response import (
    CompleteFailure,
    CompleteSuccess,
    Errored,
    Judgement,
    PartialFailure,
    Returned,
    judge,
)
from tests.unit.mapping.play import entries

BATCH = entries("9", "10", "11")
NOT_IN_BATCH = "itemIdentifier {} is not in this batch"


def judged(payload: str) -> Judgement:
    return judge(Returned(payload.encode()), BATCH, reports=True)


@pytest.mark.parametrize(
    "payload",
    [
        "",
        "null",
        '""',
        "[]",
        "{}",
        '{"batchItemFailures":[]}',
        '{"batchItemFailures":null}',
        '{"statusCode":200}',
    ],
)
def test_an_empty_response_is_success(payload: str) -> None:
    """Empty or null responses and failures.

    Rule: success.
    Source: https://docs.aws.amazon.com/lambda/latest/dg/services-kinesis-batchfailurereporting.html
    """
    assert judged(payload) == CompleteSuccess()


def test_one_identifier_stops_the_batch_there() -> None:
    judgement = judged('{"batchItemFailures":[{"itemIdentifier":"10"}]}')

    assert judgement == PartialFailure(1, "the function reported 10")


def test_the_lowest_of_several_counts_as_a_number() -> None:
    reported = '{"batchItemFailures":[{"itemIdentifier":"11"},{"itemIdentifier":"9"}]}'

    assert judged(reported) == PartialFailure(0, "the function reported 9")


@pytest.mark.parametrize(
    ("payload", "cause"),
    [
        ('{"batchItemFailures":[{"itemIdentifier":"12"}]}', NOT_IN_BATCH.format("'12'")),
        ('{"batchItemFailures":[{"itemIdentifier":""}]}', NOT_IN_BATCH.format("''")),
        ('{"batchItemFailures":[{"itemIdentifier":null}]}', NOT_IN_BATCH.format(None)),
        ('{"batchItemFailures":[{"itemIdentifier":10}]}', NOT_IN_BATCH.format(10)),
        ('{"batchItemFailures":[{}]}', NOT_IN_BATCH.format(None)),
        ('{"batchItemFailures":["10"]}', NOT_IN_BATCH.format(None)),
        (
            '{"batchItemFailures":[{"itemIdentifier":"10"},{"itemIdentifier":"12"}]}',
            NOT_IN_BATCH.format("'12'"),
        ),
        ('{"batchItemFailures":"10"}', "batchItemFailures is not a list"),
        ('{"batchItemFailures":', "the response is not JSON: Input data was truncated"),
        ('"done"', "the response is not an object"),
        ("[1]", "the response is not an object"),
        ("true", "the response is not an object"),
        ("0", "the response is not an object"),
    ],
)
def test_an_invalid_response_fails_the_whole_batch_with_the_reason(
    payload: str, cause: str
) -> None:
    assert judged(payload) == CompleteFailure(cause, None)


def test_what_a_function_returns_is_success_where_no_report_was_asked_for() -> None:
    reported = Returned(b'{"batchItemFailures":[{"itemIdentifier":"9"}]}')

    assert judge(reported, BATCH, reports=False) == CompleteSuccess()


@pytest.mark.parametrize("reports", [True, False])
def test_an_error_fails_the_whole_batch(*, reports: bool) -> None:
    judgement = judge(Errored("KeyError", "'x'"), BATCH, reports=reports)

    assert judgement == CompleteFailure("KeyError: 'x'", "Unhandled")
