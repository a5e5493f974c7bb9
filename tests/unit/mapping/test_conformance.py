"""The rules of Lambda's event source mapping, each with a test that names it and its source.

The rows of the table in docs/internals/facts.md, and the recorded behaviours below it. A rule says
where ours differs from Lambda's. The tests are in the modules of their subjects; a test belongs to
this suite if its docstring has `Rule: NAME.` and `Source: ADDRESS`.
"""

import ast
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from lockstep.local.mapping.response import Errored, Returned
from lockstep.local.mapping.settings import settings_from
from tests.unit.mapping.play import DAY, DONE, RAISED, Batch, entry, play

TESTS = Path(__file__).parents[2]
FOLDERS = (TESTS / "unit" / "mapping", TESTS / "contract" / "mapping")
_LAMBDA = "https://docs.aws.amazon.com/lambda/latest/dg/"
PARAMETERS = _LAMBDA + "services-kinesis-parameters.html"
POLLING = _LAMBDA + "with-kinesis.html"
FAILURES = _LAMBDA + "services-kinesis-batchfailurereporting.html"
DESTINATIONS = _LAMBDA + "kinesis-on-failure-destination.html"
WINDOWS = _LAMBDA + "services-kinesis-windows.html"
FILTERING = _LAMBDA + "with-kinesis-filtering.html"
PATTERNS = _LAMBDA + "invocation-eventfiltering.html"
CONCURRENCY = _LAMBDA + "configuration-concurrency.html"
RESHARDING = (
    "https://docs.aws.amazon.com/streams/latest/dev/kinesis-using-sdk-java-after-resharding.html"
)
RECORDED = "recorded from real AWS"
# The rows of the table in docs/internals/facts.md.
PROPERTIES = (
    "BatchSize",
    "MaximumBatchingWindowInSeconds",
    "ParallelizationFactor",
    "StartingPosition",
    "MaximumRetryAttempts",
    "MaximumRecordAgeInSeconds",
    "BisectBatchOnFunctionError",
    "FunctionResponseTypes",
    "OnFailure",
    "TumblingWindowInSeconds",
    "FilterCriteria",
)


@dataclass(frozen=True)
class Rule:
    """What the mapping does, and where it is said."""

    name: str
    says: str
    source: str


RULES = (
    Rule("defaults", "What is not said has Lambda's default", PARAMETERS),
    Rule("ranges", "Each number has its range, ends included", PARAMETERS),
    Rule("BatchSize", "A batch has at most so many records", PARAMETERS),
    Rule("payload", "A batch is cut at 6 MB of invocation payload", POLLING),
    Rule("full batch", "A full batch is invoked at once", POLLING),
    Rule(
        "MaximumBatchingWindowInSeconds",
        "A batch that is not full waits for more, so long",
        PARAMETERS,
    ),
    Rule("next window", "The next window opens when the invocation ends", POLLING),
    Rule("ParallelizationFactor", "So many batches of a shard run at once", PARAMETERS),
    Rule(
        "ParallelizationFactor, order",
        "Each key's records keep their order whatever the factor",
        POLLING,
    ),
    Rule(
        "ParallelizationFactor, checkpoint",
        "The checkpoint passes no record that is not settled",
        POLLING,
    ),
    Rule("aggregated records", "Aggregated records defeat ParallelizationFactor", POLLING),
    Rule("StartingPosition", "TRIM_HORIZON, LATEST or AT_TIMESTAMP", PARAMETERS),
    Rule(
        "StartingPosition, LATEST",
        "Unlike Lambda's, it misses no record while the mapping is made or changed",
        PARAMETERS,
    ),
    Rule(
        "StartingPosition, table",
        "A table's stream has no AT_TIMESTAMP",
        _LAMBDA + "services-ddb-params.html",
    ),
    Rule(
        "table record",
        "(9) The time is a float, the id has 32 hexadecimal digits, the region is the stack's",
        RECORDED,
    ),
    Rule("MaximumRetryAttempts", "(2) n retries are n + 1 invocations", RECORDED),
    Rule("MaximumRetryAttempts, -1", "Retried until the record expires", PARAMETERS),
    Rule("throttling", "Throttled invocations use up no retry", PARAMETERS),
    Rule("reserved concurrency", "Beyond it an invocation is throttled", CONCURRENCY),
    Rule(
        "MaximumRecordAgeInSeconds",
        "(4) Age is per record: an expired one is discarded alone",
        RECORDED,
    ),
    Rule("BisectBatchOnFunctionError", "A failed batch is halved, at no retry's cost", PARAMETERS),
    Rule(
        "BisectBatchOnFunctionError, partial response",
        "A batch is split at the reported number",
        FAILURES,
    ),
    Rule(
        "FunctionResponseTypes", "Responses are ignored without ReportBatchItemFailures", FAILURES
    ),
    Rule("OnFailure, S3", "S3 gets the whole document, with the payload", DESTINATIONS),
    Rule("OnFailure, S3 key", "aws/lambda/MAPPING-UUID/SHARD/YYYY/MM/DD/...", DESTINATIONS),
    Rule("OnFailure, SQS", "SQS gets the document without the payload", DESTINATIONS),
    Rule("OnFailure, SNS", "SNS gets the document without the payload", DESTINATIONS),
    Rule(
        "OnFailure, Kafka topic",
        "Unlike Lambda, which sends it the document without the payload, the mapping refuses it",
        DESTINATIONS,
    ),
    Rule("OnFailure, table", "(7) DDBStreamBatchInfo has arrival times in seconds", RECORDED),
    Rule("RecordAgeExceeded", "(4) It has no responseContext", RECORDED),
    Rule("TumblingWindowInSeconds", "A record belongs to the window of its arrival", WINDOWS),
    Rule("tumbling state", "The state goes from invocation to invocation", WINDOWS),
    Rule("tumbling state, missing", "A response without a state is a failed invocation", WINDOWS),
    Rule("tumbling state, 1 MB", "A larger state ends the window early", WINDOWS),
    Rule(
        "tumbling event", "window, state, isFinalInvokeForWindow, isWindowTerminatedEarly", WINDOWS
    ),
    Rule("tumbling, resharding", "A shard's end is its window's end", WINDOWS),
    Rule("tumbling, retries", "Retries and age count as without windows", WINDOWS),
    Rule("FilterCriteria", "Fields are joined by and, rules and filters by or", PATTERNS),
    Rule(
        "FilterCriteria, rules",
        "Exact, null, empty, prefix, suffix, numeric, exists, anything-but",
        PATTERNS,
    ),
    Rule("FilterCriteria, table", "(8) Patterns match the whole record", RECORDED),
    Rule("FilterCriteria, data", "Up to 10 patterns, on data only", FILTERING),
    Rule(
        "FilterCriteria, no JSON",
        "A record whose data is no JSON is dropped without a word",
        FILTERING,
    ),
    Rule("FilterCriteria, checkpoint", "The checkpoint passes what is dropped", FILTERING),
    Rule("one shard", "A batch holds one shard's records", POLLING),
    Rule("at least once", "What is not known to be done comes again", POLLING),
    Rule("Enabled", "A disabled mapping goes on at the last processed record", PARAMETERS),
    Rule("success", "Empty or null responses and failures", FAILURES),
    Rule("lowest", "Of several identifiers the lowest is the checkpoint", FAILURES),
    Rule(
        "wrong identifier", "(3) An identifier that cannot be right fails the whole batch", RECORDED
    ),
    Rule("exception", "(3) An exception is told as Unhandled", RECORDED),
    Rule("new quota", "(1) Progress by a partial response starts a new quota", RECORDED),
    Rule("back-off", "(5) 60 s of endless retries are 7 invocations and one attempt", RECORDED),
    Rule(
        "approximateInvokeCount",
        "(5) (6) The attempt that finds a record expired counts, also if it is the first",
        RECORDED,
    ),
    Rule("exhausted", "The batch as it then stands is given up, never tried records too", FAILURES),
    Rule("order", "Records are in order the first time", POLLING),
    Rule("parents first", "A child shard waits until its parents are read to the end", RESHARDING),
    Rule("resharding", "Each key keeps its order through splits and merges", RESHARDING),
)


@cache
def named() -> list[tuple[str, str, str]]:
    """Each test that names a rule: its own name, the rule's and the source's."""
    found = []
    for folder in FOLDERS:
        for file in sorted(folder.glob("test_*.py")):
            for node in ast.parse(file.read_text()).body:
                if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                    text = ast.get_docstring(node) or ""
                    for rule in re.findall(r"^Rule: (.+)\.$", text, re.MULTILINE):
                        source = re.search(r"^Source: (.+)$", text, re.MULTILINE)
                        found.append((node.name, rule, source[1] if source else ""))
    return found


@pytest.mark.parametrize("rule", RULES, ids=[rule.name for rule in RULES])
def test_every_rule_has_a_test_that_names_its_source(rule: Rule) -> None:
    sources = [source for _, name, source in named() if name == rule.name]

    assert sources, f"no test says `Rule: {rule.name}.`: {rule.says}"
    assert set(sources) == {rule.source}


def test_no_test_names_a_rule_that_is_not_listed() -> None:
    listed = {rule.name for rule in RULES}

    assert [(test, rule) for test, rule, _ in named() if rule not in listed] == []
    assert len(listed) == len(RULES)


@pytest.mark.parametrize("name", PROPERTIES)
def test_every_property_of_the_mapping_has_a_rule(name: str) -> None:
    assert any(rule.name.startswith(name) for rule in RULES)


def test_days_of_an_outage_pass_in_no_time() -> None:
    """Virtual time: the core that runs behind real processes, with a clock that is a number.

    A function that is down for two days, a mapping with the template's own settings: every record
    waits, none is given up, and each key's first success comes in order.
    """
    said = {
        "StartingPosition": "TRIM_HORIZON",
        "BatchSize": 100,
        "BisectBatchOnFunctionError": True,
        "FunctionResponseTypes": ["ReportBatchItemFailures"],
        "MaximumBatchingWindowInSeconds": 1,
        "MaximumRecordAgeInSeconds": 518_400,
        "MaximumRetryAttempts": -1,
        "ParallelizationFactor": 4,
    }
    stream = [entry(str(1000 + at), key=f"key-{at % 7}") for at in range(500)]
    key_of = {one.sequence_number: one.partition_key for one in stream}
    calls = iter(range(10**9))
    down = 4 * 2 * DAY / 30  # four lanes, which knock every 30 seconds
    succeeded: list[str] = []

    def handle(batch: Batch) -> Returned | Errored:
        if next(calls) < down:
            return RAISED
        succeeded.extend(batch)
        return DONE

    history = play(stream, handle, settings_from(said), retention=7 * DAY, steps=10**6)

    assert history.times[-1] > 1.8 * DAY
    assert not history.discards
    assert sorted(succeeded) == sorted(key_of)
    for key in set(key_of.values()):
        of_key = [number for number in succeeded if key_of[number] == key]
        assert of_key == sorted(of_key)
    assert history.checkpoints[-1] == stream[-1].sequence_number
