"""The real engines for tests and development programs. Each starts at its first use."""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import msgspec
from platformdirs import user_cache_dir
from rich.console import Console

from lockstep.local.engines.class_archives import archive_classes, engine_on_free_ports
from lockstep.local.engines.download import install, progress_on
from lockstep.local.engines.pins import EngineName, kits
from lockstep.local.processes import Child, Service, start, stop, wait_until_ready
from lockstep.web.addresses import HOST

READY_SECONDS = 120
# Set by `python -m tools.shared_engines`: the endpoints of engines that run, as a JSON object.
SHARED = "LOCKSTEP_TEST_ENGINES"
# A file system in memory, which many kinds of Linux have, and how much must be free there.
MEMORY = Path("/dev/shm")  # noqa: S108 - each use makes a folder of its own in it
MEMORY_BYTES = 4_000_000_000


def cache() -> Path:
    """The cache folder, which `lockstep up` uses too."""
    return Path(user_cache_dir("lockstep"))


def engine_home(name: EngineName) -> Path:
    """The folder of an engine: downloaded and verified, with an archive of its classes."""
    homes = install([kits()[name]], cache(), progress_on(Console(stderr=True)))
    archive_classes(homes)
    return homes[name]


def engine_service(
    name: EngineName, state: Path, *, in_memory: bool = True, heap: str = "512m"
) -> Service:
    """An engine on free ports; see `engine_on_free_ports`."""
    home = engine_home(name)
    return engine_on_free_ports(name, home, state, in_memory=in_memory, heap=heap)


def quick_folder(memory: Path = MEMORY, least: int = MEMORY_BYTES) -> Path | None:
    """Where data that no test needs after a crash of the machine is written fastest.

    In memory, because OpenSearch syncs several files to the disk for each new index and for each
    change of an alias. None, the default, if there is no such place or too little room.
    """
    fits = (
        memory.is_dir() and os.access(memory, os.W_OK) and shutil.disk_usage(memory).free >= least
    )
    return memory if fits else None


def shared_engines() -> Mapping[EngineName, str]:
    """The endpoints of the engines that several processes share; often none."""
    found: Mapping[EngineName, str] = msgspec.json.decode(os.environ.get(SHARED, "{}"))
    return found


@contextmanager
def engines_for_tests(
    shared: Mapping[EngineName, str] | None = None, *, heap: str = "512m"
) -> Iterator[Callable[[EngineName], str]]:
    """Yield a function that starts an engine and returns its endpoint; stop all at the end.

    Data is in temporary folders; that of DynamoDB is in memory, and that of OpenSearch, too, if
    possible. Use it in the main thread.

    Args:
        shared: the endpoints of engines that run already; by default those of `shared_engines`.
        heap: the memory for the objects of OpenSearch.
    """
    running = dict(shared_engines() if shared is None else shared)
    children: list[Child] = []
    with (
        tempfile.TemporaryDirectory(prefix="lockstep-tests-") as folder,
        tempfile.TemporaryDirectory(prefix="lockstep-tests-", dir=quick_folder()) as quick,
    ):

        def endpoint(name: EngineName) -> str:
            if name not in running:
                # S3Proxy needs extended attributes, which a file system in memory may lack.
                state = Path(quick if name == "opensearch" else folder)
                child = start(engine_service(name, state, heap=heap))
                children.append(child)
                wait_until_ready([child], seconds=READY_SECONDS)
                running[name] = f"http://{HOST}:{child.service.port}"
            return running[name]

        try:
            yield endpoint
        finally:
            stop(children)
