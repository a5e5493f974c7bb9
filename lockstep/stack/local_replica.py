"""How functions and commands reach the replica of a local stack."""

from collections.abc import Mapping

from lockstep.stack.stack import LocalReplica, Stack
from shared.item import KEY

LOCAL_TABLESTORE = "local"
"""The instance, the AccessKey ID and the AccessKey secret of the Table Store of this machine."""


def replica_environment(stack: Stack, replica: LocalReplica) -> Mapping[str, str]:
    """The settings of the function, as the environment of a deployed one has them.

    Args:
        stack: the local stack.
        replica: the one that it has.
    """
    return {
        "OTS_INSTANCE": LOCAL_TABLESTORE,
        "OTS_ENDPOINT": stack.endpoints.tablestore or "",
        "OTS_ID": LOCAL_TABLESTORE,
        "OTS_SECRET": LOCAL_TABLESTORE,
        # There is no Secrets Manager here; a template would name one.
        "OTS_SECRET_ARN": "",
        "TABLE_NAME": replica.table,
        "PRIMARY_KEY": KEY,
    }
