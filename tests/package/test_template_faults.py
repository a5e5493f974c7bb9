"""The tests of the template find what is wrong: each catches faults that are made on purpose."""

import copy
from collections.abc import Mapping
from typing import Any

import pytest

from lockstep.stack.stack import StackNotFoundError
from tests.package.faults import Fault
from tests.package.faults_of_alarms import SILENT
from tests.package.faults_of_permissions import TOO_MUCH
from tests.package.faults_of_properties import LOST
from tests.package.faults_of_values import WRONG

FAULTS = [*TOO_MUCH, *LOST, *WRONG, *SILENT]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_seeded_fault_is_caught_by_its_check(template: Mapping[str, Any], fault: Fault) -> None:
    fault.check(template)
    wrong = copy.deepcopy(dict(template))
    fault.change(wrong)
    assert wrong != template
    with pytest.raises((AssertionError, KeyError, ValueError, StackNotFoundError)):
        fault.check(wrong)


def test_the_faults_are_many_and_each_is_another() -> None:
    assert len({fault.name for fault in FAULTS}) == len(FAULTS) >= 30
