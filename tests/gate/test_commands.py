"""Each command needs exactly the rights that its page lists, and the policies of people have them.

With its rights a command succeeds on the real engines; without any one of them it fails.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from lockstep.cli import main
from lockstep.stack.stack import Endpoints, LocalReplica, PictureStores, Stack
from tests.gate.command import Command, CommandFailedError
from tests.gate.commands import COMMANDS
from tests.gate.conftest import GatedStack
from tests.gate.evaluator import allows, listed
from tests.gate.guides import Right, policy_of, rights_in_guides
from tests.gate.policies import ACCESS_KEY, HASHES, KEY, rendered
from tests.gate.replica import REPLICA_COMMANDS, REPLICA_OPERATOR
from tests.gate.requests import table_stream_arn, topic_arn
from tests.unit.operator.command import commands_of

# IAM's limit, without white space:
# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
LONGEST_POLICY = 6_144
# Each name as long as its service allows.
LONG = Stack(
    Endpoints(None, None, "https://domain", None),
    stream="s" * 128,
    table="t" * 255,
    index="i" * 64,
    bucket="b" * 63,
    region="ap-southeast-1",
    functions={},
    # With a stream of the table's changes, which has rights of its own.
    index_from="KinesisDataStreamsForDynamoDB",
    changes_stream="c" * 128,
    replica=LocalReplica("r" * 255, "b" * 63),
    pictures=PictureStores("p" * 63, "o" * 255, "t" * 63),
)
NAMES = sorted({one.name for one in COMMANDS})
PEOPLES = (
    "ProducerPolicy",
    "ReaderPolicy",
    "AuditorPolicy",
    "OperatorPolicy",
    "RestorePolicy",
    "UploaderPolicy",
    "EraserPolicy",
)
# Of a stack on this machine, or of no stack.
LOCAL = {"demo", "down", "simulate", "up"}

# With each policy statement that there is.
WHOLE = {
    "Pictures": "yes",
    "KmsKeyArn": KEY,
    "LogHashSecretArn": HASHES,
    "PageTopicArn": topic_arn(LONG, "page"),
    "TicketTopicArn": topic_arn(LONG, "ticket"),
}

# But for keys of the source and of the secret: the guide names them in its text.
WHOLE_REPLICA = {
    "SourceStreamArn": table_stream_arn(LONG, "2026-11-30T00:00:00.000"),
    "OtsSecretArn": ACCESS_KEY,
    "KmsKeyArn": KEY,
    "PageTopicArn": topic_arn(LONG, "page"),
    "TicketTopicArn": topic_arn(LONG, "ticket"),
}

RIGHTS = rights_in_guides()

type NewGated = Callable[[], GatedStack]


class Stacks:
    """A stack in the state that a command needs; another one after a run has changed it."""

    def __init__(self, new: NewGated, command: Command) -> None:
        self._new = new
        self._command = command
        self._ready: GatedStack | None = None

    def wrong(self, rights: frozenset[Right]) -> tuple[str | None, GatedStack]:
        """What is wrong with a run that has these rights only, and its stack."""
        gated = self._ready
        if gated is None or (gated.gate.has_changed and not self._command.repeats):
            gated = self._ready = self._new()
            self._command.prepare(gated)
            # Or what a command needs would depend on when the index last refreshed itself.
            gated.stage.clients.opensearch.indices.refresh(index=gated.stage.stack.index)
        gated.gate.policies = [policy_of(rights, gated.stage.stack)]
        gated.gate.forget()
        try:
            return self._command.run(gated), gated
        except CommandFailedError as error:
            return str(error), gated


@pytest.mark.parametrize("name", NAMES)
def test_a_command_needs_exactly_the_rights_on_its_page(new_gated: NewGated, name: str) -> None:
    rights = RIGHTS[name]
    untried = set(rights.own)
    for command in COMMANDS:
        if command.name != name:
            continue
        stacks = Stacks(new_gated, command)
        wrong, gated = stacks.wrong(rights.whole)
        assert wrong is None, (wrong, gated.gate.refused)
        asked, stack = set(gated.gate.asked), gated.stage.stack
        for right in sorted(untried):
            if any(allows([policy_of([right], stack)], call) for call in asked):
                untried.remove(right)
                wrong, gated = stacks.wrong(rights.whole - {right})
                assert wrong is not None, f"lockstep {name} does not need {right}"
                assert gated.gate.refused, wrong
    assert untried == set(), f"lockstep {name} does not use this"


def _pairs(document: Mapping[str, Any]) -> set[tuple[str, str]]:
    return {
        (action, resource)
        for statement in document["Statement"]
        for action in listed(statement["Action"])
        for resource in listed(statement["Resource"])
    }


def test_the_policies_have_the_rights_of_the_commands_and_no_others(
    template: Mapping[str, Any],
) -> None:
    policies = rendered(template, LONG, **WHOLE)
    has = {name: _pairs(policies.managed(name)) for name in PEOPLES}
    used: dict[str, set[tuple[str, str]]] = {name: set() for name in PEOPLES}
    for command in COMMANDS:
        if command in REPLICA_COMMANDS:
            continue
        needs = _pairs(policy_of(RIGHTS[command.name].whole, LONG))
        assert needs <= set().union(*(has[one] for one in command.policies)), command.name
        for one in command.policies:
            used[one] |= needs & has[one]
    assert used == has


def test_the_policies_of_a_replica_have_the_rights_of_its_commands_and_no_others(
    replica_template: Mapping[str, Any],
) -> None:
    """`lockstep alarms` is for its stack, too."""
    policies = rendered(replica_template, LONG, **WHOLE_REPLICA)
    has = {name: _pairs(policies.managed(name)) for name in REPLICA_OPERATOR}
    used: dict[str, set[tuple[str, str]]] = {name: set() for name in has}
    of_alarms = [one for one in COMMANDS if one.name.startswith("alarms ")]
    for command in (*REPLICA_COMMANDS, *of_alarms):
        needs = _pairs(policy_of(RIGHTS[command.name].whole, LONG))
        assert needs <= set().union(*(has[one] for one in command.policies)), command.name
        for one in command.policies:
            used[one] |= needs & has[one]
    assert used == has


def test_what_changes_nothing_is_not_allowed_to_change_anything(
    template: Mapping[str, Any],
) -> None:
    allowed = _pairs(rendered(template, LONG, **WHOLE).managed("AuditorPolicy"))
    names = {action.partition(":")[2] for action, _ in allowed}
    assert {one for one in names if not one.startswith(("Describe", "Get", "List"))} == {
        "BatchGetItem",
        "Decrypt",
        "ESHttpDelete",
        "ESHttpGet",
        "ESHttpPost",
        "FilterLogEvents",
        "Scan",
    }
    posts = {resource.rpartition("/")[2] for action, resource in allowed if "Post" in action}
    assert posts == {"_count", "_mget", "_refresh", "_search", "point_in_time"}
    (deletes,) = [resource for action, resource in allowed if "Delete" in action]
    assert deletes.endswith("/_search/point_in_time")


def test_each_command_has_a_table_of_its_rights() -> None:
    assert {*NAMES} == RIGHTS.keys()
    assert {name.split()[0] for name in NAMES} == commands_of(main).keys() - LOCAL


def test_each_policy_fits_into_the_limit_of_iam(
    template: Mapping[str, Any], replica_template: Mapping[str, Any]
) -> None:
    policies = rendered(template, LONG, **WHOLE, OpenSearchDomainName="d" * 28)
    keys = {"SourceKmsKeyArn": KEY, "OtsSecretKmsKeyArn": KEY}
    of_replica = rendered(replica_template, LONG, **WHOLE_REPLICA, **keys)
    whole = [(policies, name) for name in PEOPLES]
    whole += [(of_replica, name) for name in REPLICA_OPERATOR]
    for its, name in whole:
        document = json.dumps(its.managed(name), separators=(",", ":"))
        assert len(document) <= LONGEST_POLICY, name
