"""Whether this release may build the index of a stack."""

import pytest

from functions.write_to_es.index import definition_sha256
from lockstep.stack.stack import Stack
from lockstep.stack.use_cases.rebuild import OTHER_RELEASE, refusal
from tests.builders import deployed_stack


def stack(deployed: str | None) -> Stack:
    return deployed_stack(definition_sha256=deployed)


@pytest.mark.parametrize("deployed", [None, definition_sha256()])
def test_a_local_stack_and_one_of_this_release_may_be_rebuilt(deployed: str | None) -> None:
    assert refusal(stack(deployed)) is None


def test_a_stack_of_another_release_may_not() -> None:
    assert refusal(stack("ab12")) == OTHER_RELEASE
    assert "--before-deploying" in OTHER_RELEASE
    assert "\n" not in OTHER_RELEASE
