"""What is wrong with a stack's aliases and with the index behind them."""

from collections.abc import Sequence

from functions.write_to_es.index import index_problems
from lockstep.stack.clients import Clients


def wrong_in_index(clients: Clients) -> Sequence[str]:
    """What is wrong, one line each; empty if all is right.

    A wrong alias makes searches miss new images or show deleted ones, or stops the consumer. An
    audit does not see that in the entries, because it reads through the alias for writing.

    Raises:
        SinkError: the aliases could not be read.
    """
    return index_problems(clients.opensearch, clients.stack.index)
