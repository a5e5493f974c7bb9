"""Which replica a command works on."""

from pathlib import Path

from lockstep.commands.chosen_stack import aws_session, connected
from lockstep.stack.clients import Clients, ReplicaClients
from lockstep.stack.replica import ReplicaStack, read_local_replica, read_replica


def replica_of(
    name: str | None, state: Path, *, connections: int
) -> tuple[Clients | ReplicaClients, ReplicaStack]:
    """The clients of a replica, and what its stack says of it.

    Args:
        name: a stack of template-tablestore.yaml; None for the local stack.
        state: the folder of the local stack.
        connections: as many requests at the same time.
    """
    if name is None:
        local = connected(None, state)
        return local, read_local_replica(local, state)
    clients = ReplicaClients(aws_session(), connections=connections)
    return clients, read_replica(clients, name)
