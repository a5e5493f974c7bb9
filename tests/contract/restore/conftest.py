"""The engines that all share."""

from tests.contract.redrive.conftest import endpoints as endpoints  # noqa: PLC0414 - the same
