"""`sam local invoke` of both functions with every sample, against the real stores."""

import shutil
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
import pytest

from lockstep.stack.stack import Endpoints, Stack
from tests.package import samples
from tests.package.tools import FUNCTIONS, sam
from tools.sample_events import FOLDER

DOCKER = shutil.which("docker") or "docker"
# `make lambda-image` builds it.
IMAGE = "lockstep-lambda:3.13"
RELAY = Path(__file__).with_name("relay.py")
PORTS = {"dynamodb": 8001, "opensearch": 8002, "s3": 8003}


def _docker(*arguments: str) -> str:
    run = subprocess.run([DOCKER, *arguments], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    return run.stdout.strip()


@pytest.fixture(scope="module", autouse=True)
def _image_exists() -> None:
    here = shutil.which(DOCKER)
    look = ["image", "inspect", IMAGE]
    if not here or subprocess.run([here, *look], capture_output=True, check=False).returncode:
        pytest.skip(f"no Docker Engine has the image {IMAGE}: run `make lambda-image`")


@contextmanager
def _network() -> Iterator[str]:
    name = f"lockstep-tests-{uuid.uuid4()}"
    _docker("network", "create", name)
    try:
        yield name
    finally:
        _docker("network", "rm", name)


@contextmanager
def _ready(*command: str) -> Iterator[None]:
    """The program runs, and says so."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
        try:
            assert running.stdout is not None
            assert running.stdout.readline() == "ready\n"
            yield
        finally:
            running.terminate()


def _pairs(places: Mapping[str, str]) -> list[str]:
    return [f"{origin}={goal}" for origin, goal in places.items()]


@contextmanager
def _relay_here(places: Mapping[str, str]) -> Iterator[None]:
    with _ready(sys.executable, str(RELAY), *_pairs(places)):
        yield


@contextmanager
def _relay_in_container(network: str, sockets: Path, places: Mapping[str, str]) -> Iterator[str]:
    """The relay's address in the network."""
    container = _docker(
        *("run", "--detach", "--network", network, "--entrypoint", "python3.13"),
        *("--volume", f"{RELAY}:/relay.py:ro", "--volume", f"{sockets}:/sockets"),
        *(IMAGE, "/relay.py", *_pairs(places)),
    )
    try:
        with _ready(DOCKER, "logs", "--follow", container):
            pass
        path = f'{{{{(index .NetworkSettings.Networks "{network}").IPAddress}}}}'
        yield _docker("inspect", "--format", path, container)
    finally:
        _docker("rm", "--force", container)


@pytest.fixture(scope="module")
def network_and_endpoints(stack: Stack) -> Iterator[tuple[str, Endpoints]]:
    """A Docker network, and where in it the engines answer."""
    urls = {name: str(getattr(stack.endpoints, name)) for name in PORTS}
    with ExitStack() as running:
        folder = Path(running.enter_context(tempfile.TemporaryDirectory(prefix="relay-")))
        running.enter_context(
            _relay_here({f"{folder}/{name}": urlsplit(url).netloc for name, url in urls.items()})
        )
        network = running.enter_context(_network())
        there = {f"0.0.0.0:{port}": f"/sockets/{name}" for name, port in PORTS.items()}
        host = running.enter_context(_relay_in_container(network, folder, there))
        found = {name: f"http://{host}:{port}" for name, port in PORTS.items()}
        yield network, Endpoints(kinesis=None, **found)


@pytest.fixture(scope="module")
def env_vars(
    stack: Stack,
    network_and_endpoints: tuple[str, Endpoints],
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """The file that `lockstep status --env-vars` prints, with the addresses of that network."""
    _, endpoints = network_and_endpoints
    file = tmp_path_factory.mktemp("env") / "env.json"
    there = msgspec.structs.replace(stack, endpoints=endpoints)
    file.write_bytes(msgspec.json.encode(samples.environments(there)))
    return file


def test_sam_local_invoke_brings_every_sample_into_both_stores(
    built: Path, stack: Stack, env_vars: Path, network_and_endpoints: tuple[str, Endpoints]
) -> None:
    def invoke_with_each_sample(function: str) -> list[str]:
        return [
            sam(
                *("local", "invoke", function, "--template-file", built / "template.yaml"),
                *("--event", FOLDER / name, "--env-vars", env_vars),
                *("--invoke-image", IMAGE, "--skip-pull-image"),
                *("--docker-network", network_and_endpoints[0]),
            )
            for name in samples.names(function)
        ]

    with ThreadPoolExecutor() as both:
        answers = [
            answer for of_one in both.map(invoke_with_each_sample, FUNCTIONS) for answer in of_one
        ]
    assert set(map(str.strip, answers)) == {'{"batchItemFailures": []}'}
    contents, set_aside = samples.expected()
    assert samples.in_table(stack) == contents
    assert samples.in_index(stack) == samples.expected_in_index()
    assert samples.in_quarantine(stack) == set_aside | samples.expected_of_the_table()
