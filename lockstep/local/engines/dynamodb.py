"""DynamoDB Local by hand: one database for every region and key, without its telemetry."""

import platform
from pathlib import Path

from lockstep.local.engines.java import java_service
from lockstep.local.processes import LocalStackError, Service
from lockstep.web.addresses import HOST

# The machines that it carries a native SQLite for, inside its own jar.
MACHINES = frozenset(
    {
        ("Linux", "x86_64"),
        ("Linux", "aarch64"),
        ("Darwin", "x86_64"),
        ("Darwin", "arm64"),
    }
)


def dynamodb(
    home: Path, state: Path, port: int, *, host: str = HOST, in_memory: bool = False
) -> Service:
    """The engine that runs from `home`, on a file under `state`/dynamodb or in memory.

    It answers on `host`, and on every other address of this machine, too.

    Raises:
        LocalStackError: it cannot run on this kind of machine.
    """
    machine = (platform.system(), platform.machine())
    if machine not in MACHINES:
        there = ", ".join(sorted(" ".join(one) for one in MACHINES))
        raise LocalStackError(
            f"DynamoDB Local brings no native SQLite for {' '.join(machine)}, only for {there}: "
            "use one of these, or a deployed stack (--stack NAME)"
        )
    # Paths relative to the folder it runs in, so that no name of a home folder can upset it.
    storage = ["-inMemory"] if in_memory else ["-dbPath", "."]
    return java_service(
        "dynamodb",
        state,
        port,
        options=["-Xmx512m", "--enable-native-access=ALL-UNNAMED"],
        classpath=f"{home / 'lib'}/*",
        main="com.amazonaws.services.dynamodbv2.local.main.ServerRunner",
        # Without an address: it takes none and listens on all of them.
        arguments=["-sharedDb", "-disableTelemetry", *storage, "-port", str(port)],
        host=host,
    )
