"""A stack of its own for each test, in the engines that all share."""

from tests.contract.repair.conftest import stage as stage  # noqa: PLC0414 - the same
