"""What an update does, for each change of a parameter, and combinations of all parameters."""

from collections.abc import Mapping
from itertools import combinations
from typing import Any

import pytest

from tests.package.test_template_rules import refusals, value_of
from tools.template.__main__ import findings
from tools.template.choices import CHOICES, Choice, choices_of, together
from tools.template.rendering import render
from tools.template.required import usual_values
from tools.template.updates import DOCUMENT, document, effect, effect_of

type Template = Mapping[str, Any]

# Each holds the only copy of something.
ONLY_COPIES = {"BackupVault", "ImageStream", "ImageTable", "QuarantineBucket"}
ONLY_COPIES |= {"ReplicaQuarantineBucket", "PictureBucket", "PictureRows"}


@pytest.fixture
def combined(a_template: Template) -> list[Mapping[str, str]]:
    return together(a_template)


def test_the_page_is_up_to_date(template: Template, replica_template: Template) -> None:
    assert DOCUMENT.read_text("utf-8") == document(template, replica_template), "run make generated"


def test_each_parameter_has_a_change_that_does_something(a_template: Template) -> None:
    choices = choices_of(a_template)
    assert {name for one in choices for name in one.changed} == a_template["Parameters"].keys()
    for choice in choices:
        assert refusals(a_template, **choice.beside) == []
        assert refusals(a_template, **choice.after) == []
        assert any(effect_of(a_template, choice)), choice


def test_no_change_of_a_parameter_deletes_an_only_copy_and_none_replaces_one(
    a_template: Template,
) -> None:
    """Neither there nor back."""
    for choice in choices_of(a_template):
        before, after = render(a_template, choice.beside), render(a_template, choice.after)
        for found in (effect(before, after), effect(after, before)):
            assert not found.replaced & ONLY_COPIES
            assert found.removed & ONLY_COPIES <= found.kept


def _choice(beside: Mapping[str, str] | None = None, **changed: str) -> Choice:
    (found,) = (one for one in CHOICES if (one.changed, one.beside) == (changed, beside or {}))
    return found


def test_another_name_of_the_domain_replaces_it_and_prepares_its_index(template: Template) -> None:
    found = effect_of(template, _choice(OpenSearchDomainName="another-name"))
    assert found.replaced == {"ImageDomain"}
    assert found.called == {"ImageIndex"}
    assert found.same_name == found.conditional == set()
    # They learn the address of the new one.
    assert {"IndexOnDeployment", "SearchImages", "WriteToEs"} <= found.updated


def test_another_key_of_the_domain_needs_another_name(template: Template) -> None:
    (alone, renamed) = (one for one in CHOICES if "OpenSearchKmsKeyArn" in one.changed)
    assert effect_of(template, alone).same_name == {"ImageDomain"}
    assert effect_of(template, renamed).same_name == set()


def test_a_domain_moves_into_a_vpc_only_as_another_domain(template: Template) -> None:
    (alone, renamed) = (
        one
        for one in CHOICES
        if "SubnetIds" in one.changed and "OpenSearchEndpoint" not in one.beside
    )
    assert effect_of(template, alone).refused == {"ImageDomain"}
    found = effect_of(template, renamed)
    assert found.replaced == {"ImageDomain"}
    assert found.refused == found.same_name == set()
    # Its index is empty, and all functions learn its address.
    assert found.called == {"ImageIndex"}
    assert {"IndexOnDeployment", "SearchImages", "WriteToEs"} <= found.updated
    # And out of it.
    inside, outside = render(template, alone.after), render(template, {})
    assert effect(inside, outside).refused == {"ImageDomain"}
    # Other groups, and other subnets of the same VPC, change in place.
    (other,) = (one for one in CHOICES if "SubnetIds" in one.beside)
    assert effect_of(template, other).refused == set()


def test_a_given_table_leaves_the_old_one_in_the_account(template: Template) -> None:
    (choice,) = (one for one in CHOICES if "TableName" in one.changed)
    found = effect_of(template, choice)
    assert found.removed == found.kept == {"ImageTable"}
    assert found.called == {"PreparedTable"}


def test_enhanced_fan_out_makes_new_mappings_and_the_denial_follows(template: Template) -> None:
    found = effect_of(template, _choice(EnhancedFanOut="yes"))
    assert found.replaced == {"WriteToDynamodbStream", "WriteToEsStream"}
    # It names the mapping of the table.
    assert "KeepOutOfTheTablesDocuments" in found.updated


def test_of_a_replica_only_another_stream_replaces_its_mapping(
    replica_template: Template,
) -> None:
    for choice in choices_of(replica_template):
        found = effect_of(replica_template, choice)
        replaced = {"WriteToTablestoreStream"} if "SourceStreamArn" in choice.changed else set()
        assert found.replaced == replaced, choice


def _stack(name: str) -> Mapping[str, Any]:
    return {
        "Stream": {"Type": "AWS::Kinesis::Stream", "Properties": {"Name": name}},
        "Mapping": {
            "Type": "AWS::Lambda::EventSourceMapping",
            "Properties": {"EventSourceArn": {"Fn::GetAtt": ["Stream", "Arn"]}},
        },
        "Policy": {
            "Type": "AWS::IAM::Policy",
            "Properties": {"PolicyName": {"Fn::Sub": "${Mapping}-denied"}},
        },
        "Other": {"Type": "AWS::IAM::Policy", "Properties": {"PolicyName": "other"}},
    }


def test_what_names_a_replaced_resource_is_replaced_or_updated_with_it() -> None:
    found = effect(_stack("one"), _stack("two"))
    assert found.replaced == {"Stream", "Mapping"}
    assert found.updated == {"Policy"}
    assert found.same_name == found.kept == set()


def test_nothing_changes_where_nothing_differs() -> None:
    assert not any(effect(_stack("one"), _stack("one")))


def test_each_pair_of_choices_that_agree_is_in_a_combination(
    a_template: Template, combined: list[Mapping[str, str]]
) -> None:
    whole = [set(one.items()) for one in combined]
    for one, other in combinations(choices_of(a_template), 2):
        both = {**one.after, **other.after}
        agree = {**both, **one.after} == both and not refusals(a_template, **both)
        assert not agree or any(both.items() <= chosen for chosen in whole), both


def test_each_condition_holds_in_a_combination_and_does_not_in_another(
    a_template: Template, combined: list[Mapping[str, str]]
) -> None:
    defaults = usual_values(a_template)
    for name in a_template["Conditions"]:
        values = {
            value_of({"Condition": name}, defaults | dict(one), a_template["Conditions"])
            for one in combined
        }
        assert values == {True, False}, name


def test_cfn_lint_finds_nothing_where_each_parameter_is_changed(
    a_template: Template, combined: list[Mapping[str, str]]
) -> None:
    """In few combinations: `make template` lints all."""
    left = {item for choice in choices_of(a_template) for item in choice.changed.items()}
    while left:
        chosen = max(combined, key=lambda one: len(left & one.items()))
        assert left & chosen.items()
        assert findings(render(a_template, chosen)) == [], chosen
        left -= chosen.items()


def test_cfn_lint_finds_a_wrong_property_in_what_is_rendered(template: Template) -> None:
    rendered = dict(render(template, {}))
    rendered["ImageStream"] = {"Type": "AWS::Kinesis::Stream", "Properties": {"Nmae": "x"}}
    assert any("Nmae" in one for one in findings(rendered))
