"""The demo: put real data into a local stack, upload pictures, wait, audit, and search."""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from functions.search_images.search import SearchResult
from lockstep.console.errors import UserError
from lockstep.pictures.folder import FileFilter
from lockstep.pictures.upload.files import FileToSend, files_to_send
from lockstep.pictures.upload.outcomes import RefusedFile
from lockstep.pictures.upload.wish import UploadWish
from lockstep.producing.checked import CheckedEvent
from lockstep.producing.sources import BadLine
from lockstep.stack.clients import Clients
from lockstep.stack.use_cases.audit import audit
from lockstep.stack.use_cases.consumers import wait
from lockstep.stack.use_cases.pictures import picture_stores
from lockstep.stack.use_cases.put import put
from lockstep.stack.use_cases.search import search, search_request
from lockstep.stores.objects import BucketObjects
from shared.thumbnails import SIDES

# Both words have a typo; the data has the Thames at Richmond Hill.
QUERY = "richmnd tames"
CATCH_UP_SECONDS = 600.0
LOOK_SECONDS = 0.2
# Of all pictures that are uploaded, to find them.
PICTURE_TAG = "drawn"


class Demo(msgspec.Struct, frozen=True):
    """The results of the demo.

    `pictures` counts those that are uploaded. `table` and `index` count the images that the audit
    read in each store. `seconds` has the duration of each step.
    """

    put: int
    pictures: int
    table: int
    index: int
    audit: str
    search: SearchResult
    seconds: dict[str, float]

    @property
    def succeeded(self) -> bool:
        """Whether both stores are equal and have everything that was put."""
        return self.audit == "equal" and self.put + self.pictures == self.table == self.index


class DemoError(UserError):
    """The demo cannot continue; the message says why."""


class Steps:
    """Times the steps of the demo, and reports each at its end: name, seconds, result."""

    def __init__(self, tell: Callable[[str, float, str], None]) -> None:
        self.seconds: dict[str, float] = {}
        self._tell = tell

    @contextmanager
    def step(self, name: str) -> Iterator[list[str]]:
        """Time one step; the strings appended to the list are reported at its end."""
        results: list[str] = []
        started = time.monotonic()
        yield results
        self.seconds[name] = round(time.monotonic() - started, 2)
        self._tell(name, self.seconds[name], " ".join(results))


def run(
    clients: Clients,
    events: Iterable[CheckedEvent | BadLine],
    steps: Steps,
    pictures: Path | None = None,
) -> Demo:
    """Put these events, upload the pictures, wait for both consumers, audit, search.

    Args:
        clients: the stack's.
        events: the events.
        steps: times the steps.
        pictures: the folder of the pictures; None: there are none.

    Raises:
        DemoError: a line is not a valid event, a picture is refused, or the consumers do not catch
            up.
    """
    with steps.step("put") as results:
        report = put(clients, _only_events(events))
        results.append(f"{report.put:,} events onto the stream")
    uploaded = 0
    if pictures is not None:
        with steps.step("upload") as results:
            uploaded = _upload(clients, pictures)
            results.append(f"{uploaded:,} pictures into the bucket, with their events")
    with steps.step("catch_up") as results:
        status = wait(clients, CATCH_UP_SECONDS)
        if not status.caught_up:
            message = f"the consumers did not catch up within {CATCH_UP_SECONDS:.0f} s"
            raise DemoError(message)
        results.append(
            f"both consumers have caught up; in quarantine: {status.quarantined_records:,}"
        )
    with steps.step("audit") as results:
        compared = audit(clients, lambda _store, _count: None)
        results.append(
            f"{compared.table:,} in the table, {compared.index:,} in the index: {compared.result}"
        )
    with steps.step("search") as results:
        found = search(clients, search_request(QUERY)).result
        results.append(f"{QUERY!r}: {found.total:,} found")
    return Demo(
        put=report.put,
        pictures=uploaded,
        table=compared.table,
        index=compared.index,
        audit=compared.result,
        search=found,
        seconds=steps.seconds,
    )


def _only_events(lines: Iterable[CheckedEvent | BadLine]) -> Iterator[CheckedEvent]:
    for line in lines:
        if isinstance(line, BadLine):
            message = f"line {line.line}: {line.reason}: {line.detail}"
            raise DemoError(message)
        yield line


def _upload(clients: Clients, folder: Path) -> int:
    """Upload all pictures of a folder, and count them."""
    from lockstep.stack.use_cases.upload import upload  # noqa: PLC0415 - not without the extra

    wish = UploadWish(rule="path", tags=(PICTURE_TAG,))
    files: list[FileToSend] = []
    for found in files_to_send([folder], FileFilter(), wish.rule):
        if isinstance(found, RefusedFile):
            raise DemoError(f"{found.file}: {found.detail}")
        files.append(found)
    count = 0
    for end in upload(clients, files, wish):
        if isinstance(end, RefusedFile):
            raise DemoError(f"{end.file}: {end.detail}")
        count += 1
    return count


def wait_for_thumbnails(clients: Clients, pictures: int, steps: Steps) -> None:
    """Wait until each picture has its thumbnails, which a process of the local stack draws.

    Raises:
        DemoError: some are missing after a long time.
    """
    bucket = picture_stores(clients).thumbnails
    thumbnails, deadline = BucketObjects(clients.s3, bucket), time.monotonic() + CATCH_UP_SECONDS
    with steps.step("draw") as results:
        while missing := pictures * len(SIDES) - sum(1 for _ in thumbnails.keys("")):
            if time.monotonic() > deadline:
                message = f"{missing:,} thumbnails are missing after {CATCH_UP_SECONDS:.0f} s"
                raise DemoError(message)
            time.sleep(LOOK_SECONDS)
        results.append(f"{pictures:,} pictures have thumbnails")
