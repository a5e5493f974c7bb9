"""DynamoDB Local: one database for all regions and credentials, without telemetry."""

import platform
from pathlib import Path

from lockstep.local.engines.java import base_archive, java_service, local_names
from lockstep.local.processes import LocalStackError, Service
from lockstep.web.addresses import HOST

# The machines for which its jar contains a native SQLite.
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
    """DynamoDB Local, run from `home`, with a database in `state`/dynamodb or in memory.

    It listens on `host`, and refuses requests for host names that are not local.

    Raises:
        LocalStackError: it does not support this kind of machine.
    """
    machine = (platform.system(), platform.machine())
    if machine not in MACHINES:
        supported = ", ".join(sorted(" ".join(one) for one in MACHINES))
        raise LocalStackError(
            f"DynamoDB Local does not support {' '.join(machine)}, only {supported}: "
            "use one of these, or a deployed stack (--stack NAME)"
        )
    # A relative path, because DynamoDB Local cannot handle every name of a home folder.
    storage = ["-inMemory"] if in_memory else ["-dbPath", "."]
    return java_service(
        "dynamodb",
        state,
        port,
        options=["-Xmx512m", "--enable-native-access=ALL-UNNAMED"],
        classpath=f"{local_names(home)}:{home / 'lib'}/*",
        # Java cannot archive its own classes: the manifest of a jar names a folder.
        classes=base_archive(home.parent),
        main="lockstep.engines.DynamoDb",
        arguments=["-sharedDb", "-disableTelemetry", *storage, "-port", str(port)],
        host=host,
    )
