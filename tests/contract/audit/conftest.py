"""A stack of its own for each test, in the engines that all share."""

from tests.contract.repair.conftest import kinesis_endpoint as kinesis_endpoint  # noqa: PLC0414 - a fixture of this folder, too
from tests.contract.repair.conftest import stage as stage  # noqa: PLC0414 - the same
