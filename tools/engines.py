"""The real engines for tests and development programs. Each starts at its first use."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from platformdirs import user_cache_dir
from rich.console import Console

from lockstep.local.engines.class_archives import archive_classes, engine_on_free_ports
from lockstep.local.engines.download import install, progress_on
from lockstep.local.engines.pins import EngineName, kits
from lockstep.local.processes import Child, Service, start, stop, wait_until_ready
from lockstep.web.addresses import HOST

READY_SECONDS = 120


def cache() -> Path:
    """The cache folder, which `lockstep up` uses too."""
    return Path(user_cache_dir("lockstep"))


def engine_home(name: EngineName) -> Path:
    """The folder of an engine: downloaded and verified, with an archive of its classes."""
    homes = install([kits()[name]], cache(), progress_on(Console(stderr=True)))
    archive_classes(homes)
    return homes[name]


def engine_service(name: EngineName, state: Path, *, in_memory: bool = True) -> Service:
    """An engine on free ports. Its data is under `state`; that of DynamoDB may be in memory."""
    return engine_on_free_ports(name, engine_home(name), state, in_memory=in_memory)


@contextmanager
def engines_for_tests() -> Iterator[Callable[[EngineName], str]]:
    """Yield a function that starts an engine and returns its endpoint; stop all at the end.

    Data is in a temporary folder, except that of DynamoDB, which is in memory. Use it in the main
    thread.
    """
    children: dict[EngineName, Child] = {}
    with tempfile.TemporaryDirectory(prefix="lockstep-tests-") as folder:

        def endpoint(name: EngineName) -> str:
            if name not in children:
                children[name] = start(engine_service(name, Path(folder)))
                wait_until_ready([children[name]], seconds=READY_SECONDS)
            return f"http://{HOST}:{children[name].service.port}"

        try:
            yield endpoint
        finally:
            stop(children.values())
