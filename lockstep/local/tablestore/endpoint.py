"""What every operation uses: the store, the clock, who may use the instance, and faults."""

from collections.abc import Callable
from dataclasses import dataclass

from lockstep.local.tablestore.checks import check_table_name
from lockstep.local.tablestore.errors import no_table
from lockstep.local.tablestore.faults import Faults, no_faults
from lockstep.local.tablestore.signatures import Account
from lockstep.local.tablestore.store import StoredTable, TableFile


@dataclass(frozen=True, slots=True)
class TableStoreEndpoint:
    """A store, a clock in milliseconds since 1970, an account, and faults."""

    store: TableFile
    now: Callable[[], int]
    account: Account
    faults: Faults = no_faults

    def table(self, name: str) -> StoredTable:
        """The table with this name.

        Raises:
            TableStoreError: OTSParameterInvalid if it is not a name, OTSObjectNotExist if there is
                no such table.
        """
        check_table_name(name)
        found = self.store.find_table(name)
        if found is None:
            raise no_table()
        return found
