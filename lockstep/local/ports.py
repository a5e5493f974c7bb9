"""Free ports for the services of a local stack."""

import random
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from socket import SO_REUSEADDR, SOL_SOCKET, socket

from lockstep.local.processes import LocalStackError
from lockstep.web.addresses import HOST

# Below the ports of outgoing connections (from 32,768 on Linux, from 49,152 on macOS): one of these
# could occupy the port of a server that died, just when the server restarts.
PORTS = range(20_000, 32_768)


def free_ports(
    names: Iterable[str], preferred: Mapping[str, int], hosts: Mapping[str, str] = {}
) -> dict[str, int]:
    """A free port of `PORTS` for each name: the preferred one if it is free.

    Args:
        names: of the services.
        preferred: ports by name, such as those of the last start.
        hosts: addresses by name; the default is 127.0.0.1.

    Raises:
        LocalStackError: no port is free.
    """
    with ExitStack() as probes:
        # All ports are held until the last one is found, so that none is returned twice.
        return {
            name: _hold(probes, hosts.get(name, HOST), preferred.get(name, 0)) for name in names
        }


def _hold(probes: ExitStack, host: str, preferred: int) -> int:
    if preferred and _bound(probes, host, preferred, SO_REUSEADDR):
        return preferred
    # In random order: it is unlikely to get a port that another stack will prefer.
    for port in random.sample(PORTS, len(PORTS)):
        if _bound(probes, host, port):
            return port
    raise LocalStackError(f"no port of {host} from {PORTS[0]} to {PORTS[-1]} is free")


def _bound(probes: ExitStack, host: str, port: int, *options: int) -> bool:
    """Whether the port was free; if so, it is held."""
    probe = socket()
    for option in options:
        probe.setsockopt(SOL_SOCKET, option, 1)
    try:
        probe.bind((host, port))
        probe.listen()  # another socket that is bound but does not listen could share the port
    except OSError:
        probe.close()
        return False
    probes.enter_context(probe)
    return True
