"""Download engines to the cache once; check each file's SHA-256 at every start.

An engine is complete if every pinned file exists with the pinned content; there is no other marker.
So an interrupted download, a damaged file and a foreign file are one case, and correct files are
never downloaded again. If all files are correct, no network is needed.
"""

import fcntl
import hashlib
import shutil
import threading
import time
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from io import BufferedReader
from pathlib import Path

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.table import Column

from lockstep.local.engines.artifacts import PARALLEL, ArtifactRepository, DownloadError
from lockstep.local.engines.pins import EngineName, Kit, Pin

MEGABYTE = 1_000_000

type Advance = Callable[[int], None]


type Report = Callable[[Sequence[str], int], AbstractContextManager[Advance]]


def progress_on(console: Console) -> Report:
    """Report downloads: with a progress bar on a terminal, else with a line before and after."""

    @contextmanager
    def report(names: Sequence[str], size: int) -> Iterator[Advance]:
        what = ", ".join(names)
        if not console.is_terminal:
            began = time.monotonic()
            console.print(f"downloading {what}: {size / MEGABYTE:.0f} MB", soft_wrap=True)
            yield lambda _: None
            console.print(f"downloaded in {time.monotonic() - began:.0f} s", soft_wrap=True)
            return
        columns = (
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            # One line, also on a terminal of 80 columns: a number never leaves its unit.
            DownloadColumn(table_column=Column(no_wrap=True)),
            TransferSpeedColumn(table_column=Column(no_wrap=True)),
            TimeRemainingColumn(compact=True, table_column=Column(no_wrap=True)),
        )
        with Progress(*columns, console=console, expand=True) as progress:
            task = progress.add_task(f"downloading {what}", total=size)
            yield lambda count: progress.advance(task, count)

    return report


def install(
    kits: Iterable[Kit], cache: Path, report: Report, repository: ArtifactRepository | None = None
) -> Mapping[EngineName, Path]:
    """The folder of each engine, with all files checked; downloads missing and damaged files.

    Several processes may call this at the same time: one downloads, the others wait.

    Raises:
        DownloadError: a file is missing and cannot be downloaded.
    """
    wanted = {kit.name: (kit, cache / "engines" / kit.folder) for kit in kits}
    homes = {name: home for name, (_, home) in wanted.items()}
    if not any(incomplete(kit, home) for kit, home in wanted.values()):
        return homes
    with locked(cache / "engines"):
        missing = {
            name: (home, pins)
            for name, (kit, home) in wanted.items()
            if (pins := incomplete(kit, home))
        }
        if missing:
            fetch(missing, report, repository or maven_central())
    return homes


def maven_central() -> ArtifactRepository:
    """The repository of the pinned artifacts."""
    # Importing it is slow, and downloads are rare.
    from lockstep.local.engines.repository import Repository  # noqa: PLC0415

    return Repository()


def incomplete(kit: Kit, home: Path) -> list[Pin]:
    """The artifacts with a missing or damaged file."""
    with ThreadPoolExecutor(PARALLEL) as pool:
        complete = pool.map(lambda pin: all(intact(home, pin)), kit.pins)
        return [pin for pin, is_complete in zip(kit.pins, complete, strict=True) if not is_complete]


def intact(home: Path, pin: Pin) -> Iterator[bool]:
    """For each file of an artifact, whether it exists with the pinned content."""
    for path, sha256 in pin.files.items():
        try:
            with (home / path).open("rb") as stream:
                yield digest(stream) == sha256
        except (FileNotFoundError, NotADirectoryError):
            yield False


def digest(stream: BufferedReader) -> str:
    """The SHA-256 as lowercase hex."""
    return hashlib.file_digest(stream, "sha256").hexdigest()


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Exclude other processes; the lock ends with the process, even if that is killed."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / "lock").open("w")
    except OSError as error:
        message = f"cannot write to the cache folder {folder}: {error.strerror}"
        raise DownloadError(message) from None
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def fetch(
    missing: Mapping[EngineName, tuple[Path, Sequence[Pin]]],
    report: Report,
    repository: ArtifactRepository,
) -> None:
    """Download artifacts, several at the same time."""
    work = [(home, pin) for home, pins in missing.values() for pin in pins]
    cancelled = threading.Event()
    with (
        report(list(missing), sum(pin.size for _, pin in work)) as advance,
        ThreadPoolExecutor(PARALLEL) as pool,
    ):
        fetched = [
            pool.submit(fetch_one, home, pin, repository, advance, cancelled) for home, pin in work
        ]
        try:
            for one in fetched:
                one.result()
        except BaseException:
            # On an error or Ctrl-C, running downloads stop at their next chunk and can be resumed.
            cancelled.set()
            pool.shutdown(cancel_futures=True)
            raise


def fetch_one(
    home: Path,
    pin: Pin,
    repository: ArtifactRepository,
    advance: Advance,
    cancelled: threading.Event,
) -> None:
    """Download an artifact and check it; only then move its files to their place."""
    arrived = home.parent / "arriving" / pin.sha256
    try:
        arrived.parent.mkdir(parents=True, exist_ok=True)
        for _ in range(2):
            receive(arrived, pin, repository, advance, cancelled)
            if cancelled.is_set():
                return
            with arrived.open("rb") as stream:
                is_correct = digest(stream) == pin.sha256
            if is_correct:
                break
            advance(-arrived.stat().st_size)
            arrived.unlink()
        else:
            raise DownloadError(
                f"{pin.coordinate} was downloaded twice, each time with a wrong SHA-256, and was "
                "discarded: check whether a proxy changes downloads"
            )
        if pin.members:
            unpack(arrived, home, pin.members)
            arrived.unlink()
        else:
            put(arrived, home / pin.path)
    except OSError as error:
        message = f"cannot write to {home}: {error.strerror}; files that are complete are kept"
        raise DownloadError(message) from None


def receive(
    arrived: Path,
    pin: Pin,
    repository: ArtifactRepository,
    advance: Advance,
    cancelled: threading.Event,
) -> None:
    """Download an artifact to a file; resume an earlier download."""
    received = arrived.stat().st_size if arrived.exists() else 0
    if received == pin.size:
        advance(received)
        return
    begin = received if received < pin.size else 0
    with repository.read(pin, begin) as download, arrived.open("ab") as file:
        file.truncate(download.start)
        advance(download.start)
        for chunk in download.chunks():
            file.write(chunk)
            advance(len(chunk))
            if cancelled.is_set():
                return


def unpack(archive: Path, home: Path, members: Iterable[str]) -> None:
    """Unpack some files of an archive that has one top-level folder."""
    with zipfile.ZipFile(archive) as content:
        for entry in content.infolist():
            path = entry.filename.partition("/")[2]
            if path in members:
                unpacked = archive.with_suffix(".member")
                with content.open(entry) as source, unpacked.open("wb") as target:
                    shutil.copyfileobj(source, target)
                put(unpacked, home / path)


def put(file: Path, place: Path) -> None:
    """Move a file to its place atomically."""
    place.parent.mkdir(parents=True, exist_ok=True)
    file.replace(place)
