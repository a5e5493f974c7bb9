"""The log: each line is JSON and says where it is from; ids are hashed if there is a key."""

import datetime as dt
import hashlib
import hmac
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from botocore.exceptions import EndpointConnectionError

from doors import on_deployment
from doors.log import STACK_NAME
from doors.logged_ids import HashedIds, PlainIds
from functions.write_to_dynamodb import table_on_deployment
from functions.write_to_es import index_on_deployment, watcher
from lockstep.audit.audit import Audit
from lockstep.audit.pieces.ending import PiecesReport
from lockstep.nightly.piece import do_piece
from lockstep.stack.use_cases.pieces import Worked
from shared.event import IMAGE_ID_PATTERN
from shared.outcome import Conflict, Failed, Refused
from shared.quarantine import CONSUMERS
from shared.sink import MisconfiguredError, RequestFailedError, Sink
from tests.builders import SHARD_ID, image_event, kinesis_record, kinesis_records
from tests.emitted import CLOCK, Line, consumed, context, logging_as
from tests.memory_sink import MemorySink
from tests.simulation.rewired import rewired
from tests.unit.search_images.test_api import Table, ask

GUIDE = Path(__file__).parents[3] / "docs/guides/logs.md"
KEY = "0123456789abcdef"
LATE = image_event("late", 1_787_000_000_000_000, occurred_at="2026-08-17T20:00:00Z")


def of_a_consumer(function: str = "write_to_dynamodb", key: str | None = None) -> list[Line]:
    """A line of each kind that a consumer writes, about images whose ids are plain words."""
    with logging_as(function) as (logger, written):
        sink = MemorySink(
            always={
                "refused": Refused("failed to parse a field in document refused: bad"),
                "failed": Failed("throttled while writing failed, then gave up"),
                "claimed": Conflict("version 1 is taken"),
            }
        )
        events: list[Any] = [LATE, *map(image_event, ("fine", "refused", "failed", "claimed"))]
        consumed(kinesis_records(*events), lambda: sink, logger, function=function, key=key)
        stamped = kinesis_record(image_event("outrun", 1_795_000_000_000_000))
        counted = kinesis_record(image_event("outrun", 7), position=2, arrived_at=1_795_248_000_501)
        wrong = kinesis_record(image_event("one"), position=3, partition_key="another")
        for one in (stamped, counted, wrong):
            consumed([one], lambda: sink, logger, function=function, key=key)

        def unsigned() -> Sink:
            raise MisconfiguredError("set credentials to write fine")

        consumed(kinesis_records(image_event("fine")), unsigned, logger, function=function, key=key)
        return written.lines


def of_the_search() -> list[Line]:
    """A line of each kind that the search API writes."""
    with logging_as("search_images") as (log, written):
        gone = EndpointConnectionError(endpoint_url="https://table.example")
        for error in (gone, ValueError("a bug")):
            log.inject_lambda_context(partial(_search_fails, error, log))({}, context())
        return written.lines


def _search_fails(error: Exception, log: Any, *_: object) -> None:
    ask("/images/T1", table=Table(error), log=log)


def of_the_audit() -> list[Line]:
    """The line of an audit that has ended."""
    at = dt.datetime(2026, 11, 30, 2, tzinfo=dt.UTC)
    report = PiecesReport(
        run="20261130-020000",
        values=False,
        begun=at,
        ended=at,
        audit=Audit(result="different", table=2, index=1, differences={"missing": 1}, seconds=1.0),
        invocations=1,
        seconds=1.0,
        read_units=1.0,
    )
    unused: Any = None
    clients: Any = SimpleNamespace(clock=CLOCK)
    with logging_as("nightly_audit") as (logger, written):
        rewired(do_piece, work=lambda *_, **__: Worked("ended", run=report.run, report=report))(
            clients, unused, rate=1, remaining=float, longest=1, logger=logger, metrics=unused
        )
        return written.lines


def of_the_watcher() -> list[Line]:
    """The line of a look that failed."""

    def fails() -> watcher.Looked:
        raise RequestFailedError("no answer")

    with logging_as("stack_watcher") as (logger, written):
        rewired(watcher.publish, logger=logger, metrics=Unmeasured())(fails)
        return written.lines


def of_a_deployment(service: str, module: Any) -> list[Line]:
    """The lines of a custom resource: it tries again, fails, and succeeds."""
    request = {
        "RequestType": "Delete",
        "ResourceProperties": {"TableName": "t", "TableStreamArn": "s"},
        "ResponseURL": "https://answers.example",
        **dict.fromkeys(("LogicalResourceId", "StackId", "RequestId"), "x"),
    }
    invocation: Any = SimpleNamespace(
        log_group_name="log", get_remaining_time_in_millis=lambda: 9e5
    )
    nobody = SimpleNamespace(request=lambda *_, **__: None)
    answers = iter((RequestFailedError("no answer"), ValueError("a bug")))

    def fails() -> str:
        raise next(answers)

    with logging_as(service) as (logger, written):
        answer = rewired(on_deployment.answer, urllib3=nobody)
        retried = rewired(on_deployment.retried, time=SimpleNamespace(sleep=lambda _: None))
        tries = partial(
            retried,
            fails,
            may_pass=lambda error: isinstance(error, RequestFailedError),
            context=invocation,
            attempt_seconds=1,
            logger=logger,
        )
        rewired(module.handle, answer=answer, logger=logger, _done=lambda *_: tries())(
            request, invocation
        )
        rewired(module.handle, answer=answer, logger=logger)(request, invocation)
        return written.lines


class Unmeasured:
    """Metrics that go nowhere."""

    def add_metric(self, *_: object) -> None:
        pass


def every_line() -> list[Line]:
    consumers = of_a_consumer() + of_a_consumer("write_to_es")
    deployments = [
        line
        for module in (index_on_deployment, table_on_deployment)
        for line in of_a_deployment(module.__name__.rpartition(".")[2], module)
    ]
    return consumers + of_the_search() + of_the_audit() + of_the_watcher() + deployments


@pytest.fixture(scope="module")
def lines() -> list[Line]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(STACK_NAME, "photos")
        return every_line()


def test_each_line_names_stack_and_service_and_has_a_time_in_utc(lines: list[Line]) -> None:
    for line in lines:
        assert line["stack"] == "photos"
        assert line["level"] in {"INFO", "WARNING", "ERROR"}
        assert dt.datetime.fromisoformat(line["timestamp"]).utcoffset() == dt.timedelta(0)
    assert {line["service"] for line in lines} == {
        *CONSUMERS,
        "search_images",
        "nightly_audit",
        "stack_watcher",
        "index_on_deployment",
        "table_on_deployment",
    }


@pytest.mark.parametrize("service", ["index_on_deployment", "table_on_deployment"])
def test_a_deployment_tells_each_attempt_and_what_it_answers(
    lines: list[Line], service: str
) -> None:
    told = [line for line in lines if line["service"] == service]
    assert [line["message"] for line in told[:2]] == [
        "the store does not answer yet",
        "the deployment's request failed",
    ]
    failed, kept = told[2:]
    assert told[0]["cause"] == "no answer"
    assert told[1]["traceback"].endswith("ValueError: a bug\n")
    assert failed["message"] == "ValueError: a bug (log: log)"
    assert kept["message"].endswith("is kept: a deployment never deletes data")


def test_each_line_of_a_consumer_names_invocation_shard_and_sequence_numbers(
    lines: list[Line],
) -> None:
    of_consumers = [line for line in lines if line["service"] in CONSUMERS]
    for line in of_consumers:
        assert line["function_request_id"] == "request-1"
        assert line["shard_id"] == SHARD_ID
        assert line["first_sequence_number"] <= line["last_sequence_number"]
    kinds = {line["message"].partition(":")[0].partition(",")[0] for line in of_consumers}
    assert kinds == {"batch", "quarantined", "late event", "not settled", "misconfigured"}


def test_with_a_key_no_line_has_an_id() -> None:
    ids = {"late", "fine", "refused", "failed", "claimed", "outrun", "one", "another"}
    hashed = HashedIds(KEY)
    plain, secret = of_a_consumer(), of_a_consumer(key=KEY)
    assert [line["message"] for line in plain] == [line["message"] for line in secret]
    for before, line in zip(plain, secret, strict=True):
        if "image_id" in before:
            assert line["image_id"] == hashed.shown(before["image_id"])
        for field in ("detail", "cause", "image_id", "quarantine_key"):
            words = set(re.findall(r"[A-Za-z0-9._-]+", str(line.get(field, ""))))
            assert not words & (ids - {"late"}), (field, line)
    (cause,) = [line["cause"] for line in secret if line["message"].startswith("not settled")]
    assert cause == f"throttled while writing {hashed.shown('failed')}, then gave up"
    (wrong,) = [line for line in secret if line.get("reason") == "partition_key"]
    assert "detail" not in wrong


def test_a_hash_is_hmac_with_sha_256_and_no_id() -> None:
    expected = hmac.new(KEY.encode(), b"T02680", hashlib.sha256).hexdigest()[:32]
    shown = HashedIds(KEY).shown("T02680")
    assert shown == f"#{expected}"
    assert re.fullmatch(IMAGE_ID_PATTERN, shown) is None
    assert HashedIds("another key").shown("T02680") != shown
    assert PlainIds().shown("T02680") == "T02680"


def test_ids_are_found_in_texts_with_what_follows_them() -> None:
    ids = HashedIds(KEY, ["a", "a:b", "T1."])
    assert ids.text("[a], a: a:b. T1. ab") == "[{0}], {0}: {1}. {2} ab".format(
        *map(ids.shown, ("a", "a:b", "T1."))
    )


def test_keys_of_rows_are_found_in_texts_whatever_they_contain() -> None:
    keys = ("Ada Lovelace", "Ada Lovelace, Countess", "1842", "(a|b)")
    ids = HashedIds(KEY, keys)
    assert ids.text("[Ada Lovelace, Countess], Ada Lovelace/1842: (a|b) 18421") == (
        "[{1}], {0}/{2}: {3} 18421".format(*map(ids.shown, keys))
    )


def test_in_a_function_the_warnings_of_libraries_are_lines_of_the_log() -> None:
    program = (
        "import logging, functions.write_to_es.handler\n"
        "logging.getLogger('opensearch').warning('POST %s', 'x')\n"
        "logging.getLogger('urllib3.connectionpool').warning('pool')\n"
    )
    environment = {
        "AWS_LAMBDA_FUNCTION_NAME": "f",
        "POWERTOOLS_SERVICE_NAME": "write_to_es",
        STACK_NAME: "photos",
    }
    run = subprocess.run(
        [sys.executable, "-c", program], env=environment, check=True, capture_output=True
    )
    assert run.stderr == b""
    lines = [msgspec.json.decode(one) for one in run.stdout.splitlines()]
    assert [line["message"] for line in lines] == ["POST x", "pool"]
    assert {(line["stack"], line["service"]) for line in lines} == {("photos", "write_to_es")}


# The words of Logs Insights QL that the guide uses, from
# https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/CWL_QuerySyntax.html
COMMANDS = {"fields", "filter", "stats", "sort", "limit"}
FUNCTIONS = {"count", "sum", "max", "pct", "bin"}
WORDS = {"as", "by", "and", "or", "like", "asc", "desc"}
NOT_FIELDS = re.compile(r'"[^"]*"|/[^/]*/|\b\d\w*|@\w+')


def queries() -> list[str]:
    text = GUIDE.read_text("utf-8").partition("## Queries")[2]
    return re.findall(r"^```\n((?:fields|filter)\b.*?)^```", text, re.DOTALL | re.MULTILINE)


def fields_in(query: str) -> set[str]:
    """The fields that a query names, without those that it makes itself."""
    made = set(re.findall(r"\bas (\w+)", query))
    named = set(re.findall(r"[A-Za-z_][\w.]*", NOT_FIELDS.sub(" ", query)))
    return named - made - COMMANDS - FUNCTIONS - WORDS


def flat(line: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """The names of a line's fields, as Logs Insights has them: `outer.inner`."""
    for name, value in line.items():
        yield prefix + name
        if isinstance(value, dict):
            yield from flat(value, f"{prefix}{name}.")


def test_there_is_a_query_for_each_of_the_usual_questions() -> None:
    assert len(queries()) >= 10


@pytest.mark.parametrize("query", queries(), ids=lambda query: query.splitlines()[1])
def test_the_functions_write_each_field_that_a_query_names(query: str, lines: list[Line]) -> None:
    commands = [one.split()[0] for one in query.replace("\n|", "|").split("|")]
    assert set(commands) <= COMMANDS
    wanted = fields_in(query)
    assert wanted
    exact = dict(re.findall(r'(\w+) = "([^"]*)"', query)) | dict(
        re.findall(r"(\w+) like /\^([^/]*)/", query)
    )
    exact.pop("image_id", None)
    exact.pop("shard_id", None)
    chosen = [
        line
        for line in lines
        if all(str(line.get(name, "")).startswith(value) for name, value in exact.items())
    ]
    assert chosen, "no line passes the filters"
    assert wanted <= {name for line in chosen for name in flat(line)}


def test_the_guide_names_each_field_of_each_line(lines: list[Line]) -> None:
    named = set(re.findall(r"`([\w.]+)`", GUIDE.read_text("utf-8").partition("## Queries")[0]))
    of_consumers = {name for line in lines if line["service"] in CONSUMERS for name in line}
    of_powertools = {"function_arn", "function_memory_size"}
    assert of_consumers - of_powertools <= named
