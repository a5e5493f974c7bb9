"""FilterCriteria (docs/internals/facts.md): the rules of AWS's page on event filtering."""

from typing import Any

import msgspec
import pytest

from lockstep.local.mapping.batch import BatchRecord
from lockstep.local.mapping.filters import MOST_LEVELS, FilterCriteria, PatternError, filters_from
from lockstep.local.mapping.settings import Settings
from shared.event import AGGREGATED_MAGIC
from shared.nesting import MAX_NESTING
from tests.builders import table_record
from tests.unit.mapping.play import START, entry, play, reporting


def filters(*patterns: object) -> FilterCriteria:
    """Filters with these patterns of the data."""
    said = [{"Pattern": msgspec.json.encode({"data": one}).decode()} for one in patterns]
    found = filters_from({"Filters": said}, of_table=False)
    assert found
    return found


def passes(pattern: object, data: object) -> bool:
    return filters(pattern).match(msgspec.json.encode(data))


ANY_OTHER = {"anything-but": ["a", "b"]}
BETWEEN = {"numeric": [">", 10, "<=", 20]}


@pytest.mark.parametrize(
    ("rule", "value"),
    [
        ("buy", "buy"),
        ("", ""),
        (None, None),
        (True, True),
        (300, 300),
        (1.5, 1.5),
        ({"prefix": "us-"}, "us-east-1"),
        ({"suffix": ".png"}, "a.png"),
        ({"equals-ignore-case": "Buy"}, "bUY"),
        ({"numeric": ["=", 300]}, 300.0),
        ({"numeric": ["<", 0]}, -1),
        (BETWEEN, 10.5),
        (BETWEEN, 20),
        (ANY_OTHER, "c"),
        (ANY_OTHER, 7),
        ({"anything-but": "a"}, "b"),
        ({"anything-but": 7}, 8),
        ({"anything-but": {"prefix": "us-"}}, "eu-west-1"),
        ({"anything-but": {"suffix": ".png"}}, "a.jpg"),
        ({"exists": True}, "anything"),
        ({"exists": True}, None),
        ({"exists": False}, {"an": "object is no leaf"}),
        ("b", ["a", "b"]),
        (ANY_OTHER, ["a", "c"]),
    ],
)
def test_a_rule_lets_through_what_it_names(rule: object, value: object) -> None:
    """Exact, null, empty, prefix, suffix, numeric, exists, anything-but.

    Rule: FilterCriteria, rules.
    Source: https://docs.aws.amazon.com/lambda/latest/dg/invocation-eventfiltering.html
    """
    assert passes({"field": [rule]}, {"field": value, "other": 1})


@pytest.mark.parametrize(
    ("rule", "value"),
    [
        ("buy", "sell"),
        ("buy", "Buy"),
        ("", " "),
        ("", None),
        (None, ""),
        (None, 0),
        (True, 1),
        (300, "300"),
        (300, 300.0),
        ({"prefix": "us-"}, "eu-west-1"),
        ({"prefix": "1"}, 1),
        ({"suffix": ".png"}, "a.jpg"),
        ({"equals-ignore-case": "Buy"}, "bye"),
        ({"numeric": ["=", 300]}, "300"),
        ({"numeric": ["<", 2]}, True),
        (BETWEEN, 10),
        (BETWEEN, 21),
        (ANY_OTHER, "a"),
        (ANY_OTHER, ["a", "b"]),
        ({"anything-but": 7}, 7),
        ({"anything-but": {"prefix": "us-"}}, "us-east-1"),
        ({"exists": False}, None),
        ({"exists": True}, {"an": "object is no leaf"}),
        ({"exists": True}, []),
        ("b", ["a"]),
        ("b", {"b": "b"}),
    ],
)
def test_a_rule_keeps_back_what_it_does_not_name(rule: object, value: object) -> None:
    assert not passes({"field": [rule]}, {"field": value, "other": 1})


@pytest.mark.parametrize("rule", ["a", "", None, ANY_OTHER, BETWEEN, {"exists": True}])
def test_a_field_that_is_not_there_obeys_one_rule_only(rule: object) -> None:
    assert not passes({"field": [rule]}, {"other": "a"})
    assert passes({"field": [{"exists": False}]}, {"other": "a"})
    assert passes({"above": {"field": [{"exists": False}]}}, {"other": "a"})


def test_fields_are_joined_by_and_rules_and_filters_by_or() -> None:
    """Fields are joined by and, rules and filters by or.

    Rule: FilterCriteria.
    Source: https://docs.aws.amazon.com/lambda/latest/dg/invocation-eventfiltering.html
    """
    pattern = {"order": {"type": ["buy", "sell"], "stock": ["ANYCO"]}}

    assert passes(pattern, {"order": {"type": "sell", "stock": "ANYCO"}})
    assert not passes(pattern, {"order": {"type": "sell", "stock": "OTHERCO"}})
    either = filters({"a": [1]}, {"b": [1]})
    assert either.match(b'{"a":1}')
    assert either.match(b'{"b":1}')
    assert not either.match(b'{"a":2,"b":2}')


def test_or_over_several_fields() -> None:
    pattern = {"kind": ["x"], "$or": [{"a": [1]}, {"b": [{"exists": False}]}]}

    assert passes(pattern, {"kind": "x", "a": 1, "b": 1})
    assert passes(pattern, {"kind": "x", "a": 2})
    assert not passes(pattern, {"kind": "x", "a": 2, "b": 1})
    assert not passes(pattern, {"kind": "y", "a": 1})


def test_one_item_of_a_list_must_match_alone() -> None:
    pattern = {"items": {"name": ["a"], "size": [1]}}

    assert passes(pattern, {"items": [{"name": "b"}, {"name": "a", "size": 1}]})
    assert not passes(pattern, {"items": [{"name": "a", "size": 2}, {"name": "b", "size": 1}]})
    assert not passes(pattern, {"items": []})


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"plain text",
        b'{"a":1',
        b"\xff\xfe",
        b'"\xff"',
        b"[" * 100_000,
        AGGREGATED_MAGIC + b"...",
    ],
    ids=["nothing", "text", "cut off", "bytes", "bytes in text", "nested", "aggregated"],
)
def test_data_that_is_not_json_is_skipped(data: bytes) -> None:
    """A record whose data is no JSON is dropped without a word.

    Rule: FilterCriteria, no JSON.
    Source: https://docs.aws.amazon.com/lambda/latest/dg/with-kinesis-filtering.html
    """
    assert not filters({"a": [{"exists": False}]}).match(data)


def test_json_that_is_not_an_object_has_no_fields() -> None:
    assert not passes({"a": [1]}, 1)
    assert passes({"a": [{"exists": False}]}, 1)


@pytest.mark.parametrize("levels", [700, 9_000, 100_000])
@pytest.mark.parametrize("nested", ["[{}1{}]", '{{"type":{}1{}}}', '{{"type":[{}1{}]}}'])
def test_a_record_that_nests_without_end_is_dropped_like_any_other(
    nested: str, levels: int
) -> None:
    data = nested.format("[" * levels, "]" * levels).encode()

    assert not filters({"type": ["image.deleted"]}).match(data)
    assert not filters({"type": {"of": ["image.deleted"]}}).match(data)


def test_objects_that_nest_without_end_are_looked_into_as_deep_as_the_pattern_goes() -> None:
    data = b'{"a":' * MAX_NESTING + b"1" + b"}" * MAX_NESTING

    assert not filters({"a": {"a": ["image.deleted"]}}).match(data)
    assert filters({"a": {"b": [{"exists": False}]}}).match(data)


def test_lists_in_lists_are_one_list() -> None:
    for levels in (1, 2, 700):
        data = b'{"a":' + b"[" * levels + b'0,{"b":1}' + b"]" * levels + b"}"

        assert filters({"a": [0]}).match(data)
        assert not filters({"a": [1]}).match(data)
        assert filters({"a": {"b": [1]}}).match(data)


def test_a_pattern_is_obeyed_as_deep_as_it_may_nest() -> None:
    def nested(leaf: object, levels: int) -> dict[str, object]:
        value = {"a": leaf}
        for _ in range(levels - 1):
            value = {"a": value}
        return value

    def text(levels: int) -> str:
        return '{"data":' + '{"a":' * levels + '["x"]' + "}" * levels + "}"

    assert passes(nested(["x"], MOST_LEVELS), nested("x", MOST_LEVELS))
    assert not passes(nested(["x"], MOST_LEVELS), nested("y", MOST_LEVELS))
    for levels in (MOST_LEVELS + 1, 5_000):
        with pytest.raises(PatternError, match="nested deeper than 100 levels"):
            filters_from({"Filters": [{"Pattern": text(levels)}]}, of_table=False)


def test_the_checkpoint_passes_what_is_dropped() -> None:
    """The checkpoint passes what is dropped.

    Rule: FilterCriteria, checkpoint.
    Source: https://docs.aws.amazon.com/lambda/latest/dg/with-kinesis-filtering.html
    """
    stream = [
        entry("1", data=b'{"a":2}'),
        entry("2", data=b'{"a":1}'),
        entry("3", data=b"not JSON"),
        entry("4", data=b'{"a":1}'),
        entry("5", data=b'{"a":3}'),
    ]
    settings = Settings(batch_size=2, retries=0, filters=filters({"a": [1]}))

    history = play(stream, reporting(), settings)

    assert history.invocations == [["2", "4"]]
    assert history.checkpoints == ["1", "5"]
    assert not history.discards, "without a word"


def test_a_shard_of_which_nothing_passes_ends_without_an_invocation() -> None:
    stream = [entry("1", data=b"{}"), entry("2", data=b"not JSON")]

    history = play(stream, reporting(), Settings(filters=filters({"a": [1]})))

    assert not history.invocations
    assert history.checkpoints == ["2"]


@pytest.mark.parametrize(
    ("criteria", "message"),
    [
        ("all", r"must be \{Filters"),
        ({"Filters": "all"}, r"must be \{Filters"),
        ({"Filters": [{"Pattern": '{"data":{"a":[1]}}'}] * 11}, "has 11 filters, may have 10"),
        ({"Filters": ["{}"]}, "no Pattern"),
        ({"Filters": [{"Pattern": {"data": {"a": [1]}}}]}, "its Pattern is not text"),
        ({"Filters": [{"Pattern": "{"}]}, "not JSON"),
        ({"Filters": [{"Pattern": "{}"}]}, "exactly one key, `data`"),
        ({"Filters": [{"Pattern": '{"partitionKey":["a"]}'}]}, "exactly one key, `data`"),
    ],
)
def test_criteria_of_another_shape_are_refused(criteria: Any, message: str) -> None:
    """Up to 10 patterns, on data only.

    Rule: FilterCriteria, data.
    Source: https://docs.aws.amazon.com/lambda/latest/dg/with-kinesis-filtering.html
    """
    with pytest.raises(PatternError, match=message):
        filters_from(criteria, of_table=False)


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ({}, "data: must be an object"),
        ("a", "data: must be an object"),
        ({"a": {}}, "data.a: must be an object"),
        ({"a": 1}, "data.a: must be an object"),
        ({"a": []}, "data.a: has no rule"),
        ({"$or": []}, "must be a list of patterns"),
        ({"a": [{"wildcard": "*"}]}, "data.a: not a rule"),
        ({"a": [{"prefix": 1}]}, "data.a: not a rule"),
        ({"a": [{"prefix": "a", "suffix": "b"}]}, "data.a: not a rule"),
        ({"a": [{"exists": "yes"}]}, "data.a: not a rule"),
        ({"a": [{"numeric": [">"]}]}, "data.a: not a rule"),
        ({"a": [{"numeric": ["~", 1]}]}, "data.a: not a rule"),
        ({"a": [{"numeric": [">", "1"]}]}, "data.a: not a rule"),
        ({"a": [{"anything-but": []}]}, "data.a: not a rule"),
        ({"a": [{"anything-but": {"exists": True}}]}, "data.a: not a rule"),
        ({"a": [["nested"]]}, "data.a: not a rule"),
    ],
)
def test_a_pattern_that_lambda_would_refuse_is_named(pattern: object, message: str) -> None:
    with pytest.raises(PatternError, match=message):
        filters(pattern)


def of_table(pattern: object) -> FilterCriteria:
    """Filters of a table's stream with this pattern."""
    said = [{"Pattern": msgspec.json.encode(pattern).decode()}]
    found = filters_from({"Filters": said}, of_table=True)
    assert found
    return found


INSERTED = table_record({"image_id": {"S": "a"}, "in": {"S": "us-1-x"}, "size": {"N": "42"}})
CHANGED = table_record({"image_id": {"S": "a"}, "size": {"N": "101"}}, {"image_id": {"S": "a"}})
PURGED = table_record(old={"image_id": {"S": "a"}}, by_time_to_live=True)


@pytest.mark.parametrize(
    ("pattern", "passing"),
    [
        ({"eventName": ["INSERT"]}, [INSERTED]),
        ({"eventName": ["INSERT", "MODIFY"]}, [INSERTED, CHANGED]),
        ({"eventName": ["INSERT"], "eventSource": ["aws:dynamodb"]}, [INSERTED]),
        ({"dynamodb": {"NewImage": {"in": {"S": ["us-1-x"]}}}}, [INSERTED]),
        ({"dynamodb": {"NewImage": {"in": ["us-1-x"]}}}, []),
        ({"dynamodb": {"NewImage": {"in": {"S": [{"exists": True}]}}}}, [INSERTED]),
        ({"dynamodb": {"NewImage": {"in": [{"exists": True}]}}}, []),
        ({"dynamodb": {"NewImage": {"in": [{"exists": False}]}}}, [INSERTED, CHANGED, PURGED]),
        ({"dynamodb": {"NewImage": {"in": {"S": [{"prefix": "us-1"}]}}}}, [INSERTED]),
        (
            {
                "dynamodb": {
                    "NewImage": {"size": {"N": [{"numeric": [">", 100]}, {"anything-but": "101"}]}}
                }
            },
            [INSERTED],
        ),
        (
            {"dynamodb": {"ApproximateCreationDateTime": [{"numeric": [">", 0]}]}},
            [INSERTED, CHANGED, PURGED],
        ),
        ({"userIdentity": {"type": ["Service"]}}, [PURGED]),
    ],
)
def test_patterns_of_a_tables_stream_match_the_whole_record(
    pattern: object, passing: list[dict[str, Any]]
) -> None:
    """Recorded by LocalStack, test_dynamodb_event_filter. An attribute's type is a level of its
    own, and its number is text. `userIdentity` is from AWS's page on filters of a table's stream.

    Rule: FilterCriteria, table.
    Source: recorded from real AWS
    """
    criteria = of_table(pattern)
    records = [INSERTED, CHANGED, PURGED]
    stream = [
        BatchRecord(str(number), "a", START, msgspec.json.encode(record))
        for number, record in enumerate(records)
    ]

    history = play(stream, reporting(), Settings(batch_size=10, filters=criteria))

    expected = [str(records.index(one)) for one in passing]
    assert history.invocations == ([expected] if expected else [])
    assert history.checkpoints[-1] == "2"


@pytest.mark.parametrize("pattern", ["single-string", '[{"eventName": ["INSERT"=123}]', "{}", "[]"])
def test_a_pattern_of_a_tables_stream_is_an_object_that_names_a_field(pattern: str) -> None:
    """Recorded by LocalStack, test_dynamodb_invalid_event_filter."""
    with pytest.raises(PatternError):
        filters_from({"Filters": [{"Pattern": pattern}]}, of_table=True)
