"""An upload: reads files in parallel, stores them, and brings their images in line.

For each file the picture comes first and the event after it, so no event names a picture that is
not there. The event is put by the routine of `alignment`, as for any other object of the bucket. So
an upload may be ended at any time, even by SIGKILL, and repeated: what is stored is not sent again,
and an event that is missing is put.
"""

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Event as Flag
from typing import TYPE_CHECKING, Final

import msgspec

from lockstep.pictures.alignment import CountedVersionError, ObjectIdentity, PictureRow
from lockstep.pictures.bucket.aligner import (
    GivenByUpload,
    ImageVersions,
    KeyAligner,
    RestlessKeyError,
    given_fields,
)
from lockstep.pictures.bucket.objects import BucketPictures
from lockstep.pictures.bucket.rows import PictureRows
from lockstep.pictures.bucket.transfer import ChangedWhileReadError, StoredFile, Transfer
from lockstep.pictures.ids import ClaimedIds, SameIdError, key_by
from lockstep.pictures.image import GivenTooMuchError, image_of
from lockstep.pictures.reading import PictureSettings
from lockstep.pictures.upload.files import FileToSend
from lockstep.pictures.upload.outcomes import End, Reason, RefusedFile, SentPicture
from lockstep.pictures.upload.uploaded import UploadedPictures
from lockstep.pictures.upload.wish import DEFAULT_ZONE, UploadWish
from lockstep.pictures.within_limits.readers import Readers
from lockstep.pictures.within_limits.reading_child import (
    NoPicture,
    ReadAnswer,
    ReadPicture,
    UnreadFile,
)
from shared.picture_ids import PREFIX, id_of_key
from shared.stamps import is_stamp

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

# How many ends wait for that of an earlier file, for each that is sent at the same time.
_AHEAD: Final = 8


class UploadTarget(msgspec.Struct, frozen=True):
    """Where pictures go.

    Attributes:
        s3: the client of the bucket; it may retry.
        bucket: the picture bucket.
        settings: how pictures are read.
        rows: the rows of all keys.
        versions: the image table.
        aligner_of: what brings keys in line, with these pictures of the bucket.
    """

    s3: "S3Client"
    bucket: str
    settings: PictureSettings
    rows: PictureRows
    versions: ImageVersions
    aligner_of: Callable[[BucketPictures], KeyAligner]


class _StoppedError(Exception):
    """The upload ends before all is sent."""


class FolderUpload:
    """One upload."""

    def __init__(
        self,
        target: UploadTarget,
        wish: UploadWish,
        readers: Readers,
        on_progress: Callable[[int], object] = lambda _: None,
    ) -> None:
        """Set it up.

        Args:
            target: where pictures go.
            wish: what is wanted.
            readers: the processes that read files. `run` ends them.
            on_progress: is told the bytes that need no more work, from any thread.
        """
        self._target = target
        self._wish = wish
        self._readers = readers
        self._on_progress = on_progress
        self._transfer = Transfer(target.s3, target.bucket, self._sent)
        self._pictures = BucketPictures(target.s3, target.bucket, target.settings)
        self._claimed = ClaimedIds()
        self._stopped = Flag()

    def run(self, files: Iterable[FileToSend]) -> Generator[SentPicture | RefusedFile]:
        """Upload files, and say what became of each, in their order.

        If the caller closes the iterator, the upload stops after the parts that are on their way.

        Raises:
            What boto3 raises, if a store refuses or does not answer.
            CutAnswerError: an answer was cut off.
        """
        jobs, processes = self._wish.jobs, self._readers.count
        reads: deque[tuple[FileToSend, Future[ReadAnswer]]] = deque()
        ends: deque[tuple[FileToSend, Future[SentPicture | RefusedFile]]] = deque()
        reading, sending = ThreadPoolExecutor(processes), ThreadPoolExecutor(jobs)

        def send_next() -> None:
            file, read = reads.popleft()
            ends.append((file, self._next(sending, file, read.result())))

        try:
            for file in files:
                reads.append((file, reading.submit(self._readers.read, file.file)))
                if len(reads) > 2 * processes:
                    send_next()
                while len(ends) > _AHEAD * jobs:
                    yield self._ended(*ends.popleft())
            while reads:
                send_next()
            while ends:
                yield self._ended(*ends.popleft())
        finally:
            self._stopped.set()
            self._readers.close()
            for pool in (reading, sending):
                pool.shutdown(cancel_futures=True)

    def _next(
        self, sending: ThreadPoolExecutor, file: FileToSend, read: ReadAnswer
    ) -> "Future[SentPicture | RefusedFile]":
        """Send what was read. Called in the order of the files, so that the first one has an id."""
        match read:
            case NoPicture(why):
                return _done(_refused(file, "not_a_picture", why))
            case UnreadFile(why):
                return _done(_refused(file, "unreadable", why))
        key = file.key
        if key is None:
            picture = read.picture
            key = key_by(
                "checksum",
                path=file.path,
                checksum=picture.checksum or "",
                suffix=picture.format.suffix,
            )
            try:
                self._claimed.claim(id_of_key(key), str(file.file))
            except SameIdError as error:
                return _done(_refused(file, "same_id", str(error)))
            key = PREFIX + key
        return sending.submit(self._send, file, key, read)

    def _send(self, file: FileToSend, key: str, read: ReadPicture) -> SentPicture | RefusedFile:
        if self._stopped.is_set():
            raise _StoppedError
        try:
            return self._sent_picture(file, key, read)
        except _RefusedError as refused:
            return _refused(file, refused.reason, refused.detail)
        except GivenTooMuchError as error:
            return _refused(file, "too_much", str(error))
        except CountedVersionError as error:
            return _refused(file, "counted_version", str(error))
        except (ChangedWhileReadError, RestlessKeyError) as error:
            return _refused(file, "changed", str(error))
        except (FileNotFoundError, PermissionError) as error:
            return _refused(file, "unreadable", f"cannot be read: {error.strerror}")

    def _sent_picture(self, file: FileToSend, key: str, read: ReadPicture) -> SentPicture:
        target, image_id = self._target, id_of_key(key.removeprefix(PREFIX))
        source = StoredFile(
            path=file.file,
            content_type=read.picture.format.content_type,
            size_bytes=read.size_bytes,
            part_bytes=read.part_bytes,
            parts=read.parts,
        )
        given = self._given(file)
        fields = given_fields(key, self._pictures.url(key), read.size_bytes, given)
        notes = image_of(read.picture, fields).notes
        pictures = UploadedPictures(target.s3, target.bucket, target.settings, source, read.picture)
        there = self._transfer.compare(key, source)
        if there == "another" and not self._wish.replaces:
            raise _RefusedError(
                "other_content",
                f"{self._pictures.url(key)} is another picture and would be the same image, "
                f"{image_id}: rename the file, choose another --id-from, or add --replace",
            )
        if there == "this" and self._wish.dry:
            is_put = _is_put(target.rows.read(image_id), pictures.identity(key), given)
            end: End = "unchanged" if is_put else "event_put"
        else:
            end = "replaced" if there == "another" else "uploaded"
        if there != "this":
            self._check_version(image_id)
        if not self._wish.dry:
            if there != "this":
                self._transfer.store(key, source)
            outcome = target.aligner_of(pictures).align(key, given)
            if outcome in {"deleted", "no picture"}:
                raise _RefusedError(
                    "changed", "somebody deleted or overwrote its object meanwhile: upload it again"
                )
            if there == "this":
                end = "event_put" if outcome == "put" else "unchanged"
        return SentPicture(str(file.file), key, image_id, end, read.size_bytes, notes)

    def _given(self, file: FileToSend) -> GivenByUpload | None:
        wish, name = self._wish, None
        if file.key is None:
            name = os.fsencode(file.file.name).decode(errors="replace")
        given = GivenByUpload(
            tags=wish.tags,
            attributes={**wish.attributes},
            file_name=name,
            zone=None if wish.zone == DEFAULT_ZONE else wish.zone,
            gps=wish.gps,
        )
        return None if given == GivenByUpload() else given

    def _check_version(self, image_id: str) -> None:
        """Refuse an image with counted versions before its picture is there without an event."""
        version = self._target.versions.read(image_id)
        if version and not is_stamp(version):
            raise CountedVersionError(
                f"image {image_id} has version {version}, a count of its source: only its source "
                "can put its next event"
            )

    def _sent(self, count: int) -> None:
        self._on_progress(count)
        if self._stopped.is_set():
            raise _StoppedError

    def _ended(
        self, file: FileToSend, end: "Future[SentPicture | RefusedFile]"
    ) -> SentPicture | RefusedFile:
        ended = end.result()
        sent = isinstance(ended, SentPicture) and ended.end in {"uploaded", "replaced"}
        if self._wish.dry or not sent:
            self._on_progress(file.size_bytes)
        return ended


class _RefusedError(Exception):
    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(reason, detail)
        self.reason: Reason = reason
        self.detail = detail


def _refused(file: FileToSend, reason: Reason, detail: str) -> RefusedFile:
    name = str(file.file)
    return RefusedFile(name, reason, detail.removeprefix(f"{name}: "))


def _done(refused: RefusedFile) -> "Future[SentPicture | RefusedFile]":
    done: Future[SentPicture | RefusedFile] = Future()
    done.set_result(refused)
    return done


def _is_put(
    row: PictureRow | None, there: ObjectIdentity | None, given: GivenByUpload | None
) -> bool:
    """Whether the event of this object is on the stream, with what is given."""
    return (
        row is not None
        and row.shown
        and row.event is None
        and row.object == there
        and (given is None or given.digest == row.given)
    )
