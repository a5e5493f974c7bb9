"""The warnings about a table that could be lost, or that grows for ever."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from botocore.exceptions import BotoCoreError, ClientError

from functions.write_to_dynamodb.table import PURGED_BY
from functions.write_to_dynamodb.table_settings import TableSettings, WantedSettings
from lockstep.stack.clients import Clients


class _Guard(NamedTuple):
    """A setting of the table, how it is read, and what to say if it is off."""

    name: str
    is_on: Callable[[], bool]
    off: str


def protection_warnings(clients: Clients) -> Sequence[str]:
    """A line for each setting that the table of a deployed stack should have, and does not have.

    A deployment sets the last two, or refuses a given table without them; but anyone with the
    permission can turn them off.
    """
    stack = clients.stack
    if stack.state is not None:
        return []
    settings = TableSettings(clients.dynamodb, stack.table, WantedSettings(stack=None))
    prepare = f"run `lockstep prepare {stack.table}`"
    guards = (
        _Guard(
            "deletion protection",
            settings.is_protected,
            "set TableDeletionProtection=yes, and deploy again; if it is a given table "
            f"(TableName), {prepare}",
        ),
        _Guard(
            "time to live",
            lambda: settings.purged_by() == PURGED_BY,
            f"tombstones stay for ever; {prepare}",
        ),
        _Guard(
            "point-in-time recovery",
            settings.is_recoverable,
            f"DynamoDB cannot restore it to a time; {prepare}",
        ),
    )
    return [line for one in guards if (line := _line(one, stack.table))]


def _line(guard: _Guard, table: str) -> str | None:
    try:
        is_on = guard.is_on()
    except (BotoCoreError, ClientError) as error:
        return f"the {guard.name} of table {table} is unknown: {error}"
    return None if is_on else f"table {table} has no {guard.name}: {guard.off}"
