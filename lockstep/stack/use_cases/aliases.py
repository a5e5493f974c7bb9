"""What is wrong with a stack's aliases and with the index behind them."""

from collections.abc import Sequence

from functions.write_to_es.index import IndexCheck, check_index
from lockstep.stack.clients import Clients
from lockstep.stack.use_cases.stores import index_reader, table_reader

# So many images of the table are looked up in an index that seems to be empty.
_LOOKED_UP = 100


def checked_index(clients: Clients) -> IndexCheck:
    """What is wrong, and what the stack wants otherwise.

    A wrong alias makes searches miss new images or show deleted ones, or stops the consumer. An
    audit does not see that in the entries, because it reads through the alias for writing.

    Raises:
        SinkError: the aliases could not be read.
    """
    return check_index(clients.opensearch, clients.stack.index, clients.stack.index_settings)


def empty_index(clients: Clients) -> Sequence[str]:
    """A line if the index is empty and the table is not; else none.

    A new domain has an empty index, and its consumer goes on where it was. Looks up documents
    before it says so, because a search does not find what was written a moment ago.

    Raises:
        StoreUnreadableError: a store could not be read.
    """
    index, table = index_reader(clients), table_reader(clients)
    if index.count():
        return []
    now = clients.clock.now()
    there = [one.image_id for one in table.some(_LOOKED_UP) if not one.expired(now)]
    if not there or index.lookup(there):
        return []
    return [f"index {clients.stack.index} is empty, and table {clients.stack.table} is not"]
