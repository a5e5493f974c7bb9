"""Fetch engines into the cache once; at every start, check each file against its pinned SHA-256.

There is no mark that says "complete": an engine is there when every pinned file is there with the
pinned content. So a killed download, a damaged file and a foreign one are the same case, and what
is right already is never fetched again. When all is right, the network is not touched.
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
from typing import Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from lockstep.local.engines.pins import EngineName, Kit, Pin
from lockstep.local.processes import LocalStackError

PARALLEL = 8
MEGABYTE = 1_000_000

type Advance = Callable[[int], None]


class DownloadError(LocalStackError):
    """An engine is not complete and cannot be completed now."""


class Source(Protocol):
    """Where artifacts come from."""

    def read(self, pin: Pin, start: int) -> AbstractContextManager["Answer"]:
        """The artifact from byte `start` on. Raises DownloadError when it cannot be had."""


class Answer(Protocol):
    """What a source sends."""

    @property
    def start(self) -> int:
        """Where it begins: 0 when the source cannot go on where a download broke off."""

    def chunks(self) -> Iterator[bytes]:
        """The bytes. Raises DownloadError when the connection is lost."""


type Report = Callable[[Sequence[str], int], AbstractContextManager[Advance]]


def progress_on(console: Console) -> Report:
    """Show downloads: a bar on a terminal, a line before and after elsewhere."""

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
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeRemainingColumn(compact=True),
        )
        with Progress(*columns, console=console, expand=True) as progress:
            task = progress.add_task(f"downloading {what}", total=size)
            yield lambda count: progress.advance(task, count)

    return report


def install(
    kits: Iterable[Kit], cache: Path, report: Report, source: Source | None = None
) -> Mapping[EngineName, Path]:
    """The folder of each engine, all its files checked; fetches what is missing or damaged.

    Any number of processes may do this at once; one fetches, the others wait for it.

    Raises:
        DownloadError: something is missing and cannot be fetched; one line that says what to do.
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
            fetch(missing, report, source or repository())
    return homes


def repository() -> Source:
    """Where the pinned artifacts come from."""
    from lockstep.local.engines.repository import Repository  # noqa: PLC0415  # slow, seldom used

    return Repository()


def incomplete(kit: Kit, home: Path) -> list[Pin]:
    """The artifacts of which a file is not there, or not as pinned."""
    with ThreadPoolExecutor(PARALLEL) as pool:
        complete = pool.map(lambda pin: all(intact(home, pin)), kit.pins)
        return [pin for pin, is_complete in zip(kit.pins, complete, strict=True) if not is_complete]


def intact(home: Path, pin: Pin) -> Iterator[bool]:
    """For each file of an artifact, whether it is there as pinned."""
    for path, sha256 in pin.files.items():
        try:
            with (home / path).open("rb") as stream:
                yield digest(stream) == sha256
        except (FileNotFoundError, NotADirectoryError):
            yield False


def digest(stream: BufferedReader) -> str:
    """SHA-256, lower-case hex."""
    return hashlib.file_digest(stream, "sha256").hexdigest()


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Only one process at a time; the lock ends with the process, however it ends."""
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
    missing: Mapping[EngineName, tuple[Path, Sequence[Pin]]], report: Report, source: Source
) -> None:
    """Fetch artifacts, several at once."""
    work = [(home, pin) for home, pins in missing.values() for pin in pins]
    given_up = threading.Event()
    with (
        report(list(missing), sum(pin.size for _, pin in work)) as advance,
        ThreadPoolExecutor(PARALLEL) as pool,
    ):
        fetched = [
            pool.submit(fetch_one, home, pin, source, advance, given_up) for home, pin in work
        ]
        try:
            for one in fetched:
                one.result()
        except BaseException:
            # An error or Ctrl-C: what has begun stops at its next chunk and can be gone on with.
            given_up.set()
            pool.shutdown(cancel_futures=True)
            raise


def fetch_one(
    home: Path, pin: Pin, source: Source, advance: Advance, given_up: threading.Event
) -> None:
    """Fetch an artifact, check it, and only then put its files in their place."""
    arrived = home.parent / "arriving" / pin.sha256
    try:
        arrived.parent.mkdir(parents=True, exist_ok=True)
        for _ in range(2):
            receive(arrived, pin, source, advance, given_up)
            if given_up.is_set():
                return
            with arrived.open("rb") as stream:
                right = digest(stream) == pin.sha256
            if right:
                break
            advance(-arrived.stat().st_size)
            arrived.unlink()
        else:
            raise DownloadError(
                f"{pin.coordinate} arrived twice with another content than the pinned one: "
                "something between here and the repository changes it; nothing of it is used"
            )
        if pin.members:
            unpack(arrived, home, pin.members)
            arrived.unlink()
        else:
            put(arrived, home / pin.path)
    except OSError as error:
        message = f"cannot write to {home}: {error.strerror}; what is there already is kept"
        raise DownloadError(message) from None


def receive(
    arrived: Path, pin: Pin, source: Source, advance: Advance, given_up: threading.Event
) -> None:
    """Write an artifact to a file, going on where an earlier download broke off."""
    there = arrived.stat().st_size if arrived.exists() else 0
    if there == pin.size:
        advance(there)
        return
    with source.read(pin, there if there < pin.size else 0) as answer, arrived.open("ab") as file:
        file.truncate(answer.start)
        advance(answer.start)
        for chunk in answer.chunks():
            file.write(chunk)
            advance(len(chunk))
            if given_up.is_set():
                return


def unpack(archive: Path, home: Path, members: Iterable[str]) -> None:
    """Take files out of an archive that has one folder at its top."""
    with zipfile.ZipFile(archive) as content:
        for entry in content.infolist():
            path = entry.filename.partition("/")[2]
            if path in members:
                unpacked = archive.with_suffix(".member")
                with content.open(entry) as source, unpacked.open("wb") as target:
                    shutil.copyfileobj(source, target)
                put(unpacked, home / path)


def put(file: Path, place: Path) -> None:
    """Move a file to its place in one step."""
    place.parent.mkdir(parents=True, exist_ok=True)
    file.replace(place)
