"""What `from lockstep import ...` offers to a library user."""

import subprocess
import sys

import pytest

import lockstep
from lockstep import Event, Image, Producer, Stamp
from lockstep.producing import producer
from shared import event


def test_the_public_names_are_those_of_the_modules() -> None:
    assert (Event, Image) == (event.Event, event.Image)
    assert (Producer, Stamp) == (producer.Producer, producer.Stamp)


@pytest.mark.parametrize("name", lockstep.__all__)
def test_each_public_name_can_be_imported(name: str) -> None:
    assert getattr(lockstep, name).__name__ == name
    assert name in dir(lockstep)


def test_another_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'lockstep' has no attribute 'Evnt'"):
        getattr(lockstep, "Evnt")  # noqa: B009 - a type checker refuses the plain spelling


@pytest.mark.parametrize(
    "statement", ["import lockstep", "from lockstep import Event, Image, InvalidEventError"]
)
def test_no_aws_client_is_loaded_for_it(statement: str) -> None:
    program = f"import sys; {statement}; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    ).stdout.split()
    assert "lockstep" in loaded
    assert not {"boto3", "botocore", "click", "opensearchpy"} & set(loaded)
