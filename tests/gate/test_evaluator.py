"""The evaluator decides as AWS's documentation says.

The examples are those of the IAM User Guide, at the pages that `evaluator.py` names.
"""

from collections.abc import Mapping
from typing import Any

import pytest

from tests.gate.evaluator import Call, allows

BUCKET = "arn:aws:s3:::amzn-s3-demo-bucket"
READ = Call("s3:GetObject", f"{BUCKET}/folder/file")


def policy(*statements: Mapping[str, Any]) -> Mapping[str, Any]:
    whole = [{"Effect": "Allow", "Action": "*", "Resource": "*"} | dict(one) for one in statements]
    return {"Version": "2012-10-17", "Statement": whole}


def test_a_request_that_no_statement_is_about_is_denied() -> None:
    assert not allows([], READ)
    assert not allows([policy({"Action": "s3:PutObject"})], READ)
    assert allows([policy({"Action": "s3:PutObject"}), policy({"Action": "s3:GetObject"})], READ)


def test_an_explicit_deny_wins_in_whichever_policy_and_order() -> None:
    allow, deny = policy({}), policy({"Effect": "Deny", "Resource": f"{BUCKET}/folder/*"})
    assert not allows([allow, deny], READ)
    assert not allows([deny, allow], READ)
    assert allows([allow, deny], Call("s3:GetObject", f"{BUCKET}/other/file"))


@pytest.mark.parametrize(
    ("pattern", "is_it"),
    [
        ("s3:GetObject", True),
        ("S3:getobject", True),  # "case-insensitive"
        ("s3:Get*", True),
        ("s3:Get?bject", True),
        ("*", True),
        ("s3:Get", False),
        ("dynamodb:*", False),
    ],
)
def test_an_action_matches_in_any_case_and_by_wildcards(pattern: str, *, is_it: bool) -> None:
    assert allows([policy({"Action": pattern})], READ) == is_it


@pytest.mark.parametrize(
    ("pattern", "is_it"),
    [
        (f"{BUCKET}/*", True),
        (f"{BUCKET}/folder/file", True),
        (f"{BUCKET}/Folder/file", False),
        (f"{BUCKET}", False),
        ("arn:aws:s3:::*/file", True),
        # "You can't use a wildcard to match across segments" of an ARN.
        ("arn:aws:*/file", False),
        ("arn:aws:s3:*:*:amzn-s3-demo-bucket/folder/file", True),
        ("arn:aws-cn:s3:::amzn-s3-demo-bucket/*", False),
    ],
)
def test_a_resource_matches_segment_by_segment(pattern: str, *, is_it: bool) -> None:
    assert allows([policy({"Resource": pattern})], READ) == is_it


def test_several_actions_and_resources_are_alternatives() -> None:
    both = policy({"Action": ["s3:Put*", "s3:Get*"], "Resource": [BUCKET, f"{BUCKET}/*"]})
    assert allows([both], READ)


def test_not_action_and_not_resource_are_about_everything_else() -> None:
    other = {"Action": "dynamodb:Scan", "Resource": "arn:aws:dynamodb:us-east-1:1:table/t"}
    allowed = policy({"NotAction": ["s3:*", "iam:*"]})
    del allowed["Statement"][0]["Action"]
    assert not allows([allowed], READ)
    assert allows([allowed], Call(other["Action"], other["Resource"]))
    elsewhere = policy({"Effect": "Deny", "NotResource": f"{BUCKET}/folder/*"})
    del elsewhere["Statement"][0]["Resource"]
    assert allows([policy({}), elsewhere], READ)
    assert not allows([policy({}), elsewhere], Call("s3:GetObject", f"{BUCKET}/other/file"))


def held(condition: Mapping[str, Any], *context: tuple[str, str | tuple[str, ...]]) -> bool:
    return allows([policy({"Condition": condition})], Call("s3:ListBucket", BUCKET, context))


PREFIX = ("s3:prefix", "home/alice")


@pytest.mark.parametrize(
    ("condition", "is_it"),
    [
        ({"StringEquals": {"s3:prefix": "home/alice"}}, True),
        ({"StringEquals": {"s3:prefix": "home/*"}}, False),
        ({"StringEquals": {"s3:prefix": ["home/bob", "home/alice"]}}, True),
        ({"StringEquals": {"S3:Prefix": "home/alice"}}, True),
        ({"StringNotEquals": {"s3:prefix": ["home/bob", "home/alice"]}}, False),
        ({"StringNotEquals": {"s3:prefix": ["home/bob", "home/eve"]}}, True),
        ({"StringEqualsIgnoreCase": {"s3:prefix": "HOME/ALICE"}}, True),
        ({"StringLike": {"s3:prefix": "home/*"}}, True),
        ({"StringLike": {"s3:prefix": "home/?lice"}}, True),
        ({"StringNotLike": {"s3:prefix": "home/*"}}, False),
        # All operators, and all keys of an operator, must hold.
        ({"StringLike": {"s3:prefix": "home/*"}, "Bool": {"aws:SecureTransport": "true"}}, False),
        ({"StringLike": {"s3:prefix": "home/*", "s3:delimiter": "/"}}, False),
    ],
)
def test_conditions_compare_the_value_of_a_key(
    condition: Mapping[str, Any], *, is_it: bool
) -> None:
    assert held(condition, PREFIX) == is_it


@pytest.mark.parametrize(
    ("condition", "is_it"),
    [
        ({"StringEquals": {"s3:prefix": "home/alice"}}, False),
        ({"StringEqualsIfExists": {"s3:prefix": "home/alice"}}, True),
        # "If the key is not present in the request, the values do not match", so the negation does.
        ({"StringNotEquals": {"s3:prefix": "home/alice"}}, True),
        ({"Null": {"s3:prefix": "true"}}, True),
        ({"Null": {"s3:prefix": "false"}}, False),
        ({"ForAllValues:StringEquals": {"s3:prefix": "home/alice"}}, True),
        ({"ForAnyValue:StringEquals": {"s3:prefix": "home/alice"}}, False),
    ],
)
def test_conditions_on_a_key_that_the_request_lacks(
    condition: Mapping[str, Any], *, is_it: bool
) -> None:
    assert held(condition) == is_it


def test_a_boolean_condition() -> None:
    denied = {"Bool": {"aws:SecureTransport": "false"}}
    assert held(denied, ("aws:SecureTransport", "false"))
    assert not held(denied, ("aws:SecureTransport", "true"))


@pytest.mark.parametrize(
    ("quantifier", "keys", "is_it"),
    [
        ("ForAllValues", ("a",), True),
        ("ForAllValues", ("a", "b"), True),
        ("ForAllValues", ("a", "c"), False),
        ("ForAnyValue", ("a", "c"), True),
        ("ForAnyValue", ("c",), False),
    ],
)
def test_quantifiers_over_a_key_with_several_values(
    quantifier: str, keys: tuple[str, ...], *, is_it: bool
) -> None:
    condition = {f"{quantifier}:StringEquals": {"dynamodb:LeadingKeys": ["a", "b"]}}
    assert held(condition, ("dynamodb:LeadingKeys", keys)) == is_it


def test_a_variable_has_the_value_of_the_request() -> None:
    home = policy({"Resource": f"{BUCKET}/${{aws:username}}/*"})
    alice: Any = (("aws:username", "alice"),)
    assert allows([home], Call("s3:GetObject", f"{BUCKET}/alice/file", alice))
    assert not allows([home], Call("s3:GetObject", f"{BUCKET}/bob/file", alice))
    assert not allows([home], Call("s3:GetObject", f"{BUCKET}//file"))
    # A value is no pattern.
    wild: Any = (("aws:username", "*"),)
    assert not allows([home], Call("s3:GetObject", f"{BUCKET}/bob/file", wild))


def test_a_variable_has_a_default_and_stands_for_a_wildcard() -> None:
    team = {"StringEquals": {"s3:prefix": "${aws:PrincipalTag/team, 'company-wide'}"}}
    assert held(team, ("s3:prefix", "company-wide"))
    assert not held(team, ("s3:prefix", "company-wide"), ("aws:PrincipalTag/team", "yellow"))
    star = {"StringLike": {"s3:prefix": "a${*}"}}
    assert held(star, ("s3:prefix", "a*"))
    assert not held(star, ("s3:prefix", "ab"))


@pytest.mark.parametrize(
    "statement", [{"Condition": {"DateLessThan": {"aws:CurrentTime": "2026"}}}, {"Principal": "*"}]
)
def test_what_is_not_supported_decides_nothing(statement: Mapping[str, Any]) -> None:
    with pytest.raises(NotImplementedError):
        allows([policy(statement)], READ)
