"""A stack of its own for each test, in the engines that all share."""

from tests.contract.redrive.conftest import endpoints as endpoints  # noqa: PLC0414 - the same
from tests.contract.redrive.conftest import stage as stage  # noqa: PLC0414 - the same
