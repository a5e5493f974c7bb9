"""The warning about a table that anyone with the permission can delete."""

from collections.abc import Sequence

from botocore.exceptions import BotoCoreError, ClientError

from lockstep.stack.clients import Clients


def protection_warnings(clients: Clients) -> Sequence[str]:
    """A line if the table of a deployed stack has no deletion protection; else none."""
    stack = clients.stack
    if stack.state is not None:
        return []
    try:
        table = clients.dynamodb.describe_table(TableName=stack.table)["Table"]
    except (BotoCoreError, ClientError) as error:
        return [f"the deletion protection of table {stack.table} is unknown: {error}"]
    if table.get("DeletionProtectionEnabled"):
        return []
    line = (
        f"table {stack.table} has no deletion protection: set TableDeletionProtection=yes, and "
        f"deploy again; if it is a given table (TableName), run `lockstep prepare {stack.table}`"
    )
    return [line]
