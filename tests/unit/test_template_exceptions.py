"""Exceptions of checkov: each accepts what is found, and has a reason."""

from tools.template.exceptions import Accepted, Finding, accepted, judged

FOUND = {Finding("CKV_AWS_18", "Bucket"): "Ensure that access is logged"}


def test_a_finding_without_exception_is_wrong() -> None:
    assert judged(FOUND, []) == ["CKV_AWS_18 Bucket: Ensure that access is logged"]
    other = Accepted("CKV_AWS_18", ["Bucket", "Other"], "because")
    (line,) = judged(FOUND, [other])
    assert line.startswith("CKV_AWS_18 Other: checkov does not find this.")


def test_what_is_accepted_is_not_wrong() -> None:
    assert judged(FOUND, [Accepted("CKV_AWS_18", ["Bucket"], "because")]) == []


def test_each_exception_has_a_reason_and_is_there_once() -> None:
    exceptions = accepted()
    named = [(one.check, resource) for one in exceptions for resource in one.resources]
    assert len(set(named)) == len(named) > 0
    for one in exceptions:
        assert len(one.reason.split()) > 3, one.check
