"""DynamoDB Local: one database for all regions and credentials, without telemetry."""

import os
import platform
import shutil
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile

from lockstep.local.engines.java import archive, java_service, local_names
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
        classpath=":".join(map(str, _jars(home))),
        classes=archive(home),
        main="lockstep.engines.DynamoDb",
        arguments=["-sharedDb", "-disableTelemetry", *storage, "-port", str(port)],
        host=host,
    )


def _jars(home: Path) -> list[Path]:
    """The jars to run: those of the engine, but of the server's own a copy without its manifest.

    The manifest names the folder of the jar as part of the class path. Nothing is there that Java
    needs, and with a folder in the class path Java archives no classes.
    """
    (server,) = (home / "lib").glob("DynamoDBLocal-*.jar")
    copy = home / server.name
    if not copy.exists():
        unfinished = copy.with_suffix(f".{os.getpid()}")
        with ZipFile(server) as original, ZipFile(unfinished, "w", ZIP_DEFLATED) as made:
            for entry in original.infolist():
                if entry.filename != "META-INF/MANIFEST.MF":
                    made.writestr(entry, original.read(entry))
        # The archive of classes fits one time of change. Two processes may make the copy.
        shutil.copystat(server, unfinished)
        unfinished.replace(copy)
    others = (jar for jar in (home / "lib").glob("*.jar") if jar != server)
    return [local_names(home), copy, *sorted(others)]
