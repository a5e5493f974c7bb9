"""The real engines for tests and development programs. Each starts at its first use."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from platformdirs import user_cache_dir
from rich.console import Console

from lockstep.local.engines.download import install, progress_on
from lockstep.local.engines.dynamodb import dynamodb
from lockstep.local.engines.opensearch import opensearch
from lockstep.local.engines.pins import EngineName, kits
from lockstep.local.engines.s3 import s3
from lockstep.local.ports import free_ports
from lockstep.local.processes import Child, Service, start, stop, wait_until_ready
from lockstep.web.addresses import HOST

READY_SECONDS = 120


def cache() -> Path:
    """The cache folder, which `lockstep up` uses too."""
    return Path(user_cache_dir("lockstep"))


def engine_home(name: EngineName) -> Path:
    """The folder of an engine, downloaded and verified."""
    return install([kits()[name]], cache(), progress_on(Console(stderr=True)))[name]


def engine_service(name: EngineName, state: Path, *, in_memory: bool = True) -> Service:
    """An engine on free ports. Its data is under `state`; that of DynamoDB may be in memory."""
    home = engine_home(name)
    ports = free_ports(("http", "transport"), {})
    match name:
        case "opensearch":
            return opensearch(home, state, ports["http"], ports["transport"])
        case "dynamodb":
            return dynamodb(home, state, ports["http"], in_memory=in_memory)
        case "s3":
            return s3(home, state, ports["http"])


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
