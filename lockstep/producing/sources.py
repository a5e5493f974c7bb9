"""Read events from records in JSON: stamp and validate each one, report each bad one."""

import contextlib
import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

import msgspec
from msgspec import UNSET, Raw, UnsetType

from lockstep.producing.checked import CheckedEvent, checked
from lockstep.producing.producer import PAUSE, Pause, Stamp
from lockstep.source_files.unreadable import MAX_LINE_BYTES, UnreadableRecord
from shared import event
from shared.event import Event, InvalidEventError, Reason
from shared.shortened import shortened
from shared.stamps import time_of

# How long a live source may delay the events before it: less than a person notices.
PAUSE_AFTER_SECONDS = 0.1


class BadLine(msgspec.Struct, frozen=True):
    """A line that is not a valid event.

    Attributes:
        line: its number, from 1; of a record that has no line of its own, the record's number.
        reason: what is wrong, as in the quarantine.
        detail: what is wrong, and how to correct it.
    """

    line: int
    reason: Reason
    detail: str


class Converter(Protocol):
    """Converts records of another shape into events, as `FieldMapping` does."""

    def convert(self, line: bytes) -> bytes:
        """Convert a source record into an event, both as JSON. The event may be invalid.

        Raises:
            InvalidEventError: the record cannot be converted.
        """
        ...

    def origin(self, finding: str, line: bytes) -> str | None:
        """The source field of a record that a message of the validator is about, if there is one.

        Args:
            finding: the message.
            line: the record, as it was converted.
        """
        ...


def read_events(
    numbered: Iterable[bytes | UnreadableRecord], stamp: Stamp, converter: Converter | None = None
) -> Iterator[Event | BadLine]:
    """Yield the event in each line, or why the line is not valid; see `read_checked`."""
    for read in read_checked(numbered, stamp, converter):
        yield read.event if isinstance(read, CheckedEvent) else read


def read_checked(
    numbered: Iterable[bytes | UnreadableRecord], stamp: Stamp, converter: Converter | None = None
) -> Iterator[CheckedEvent | BadLine]:
    """Yield the event in each line, ready for `Producer.put`, or why the line is not valid.

    Blank lines are skipped. A missing `version` or `occurred_at` is stamped. An event is validated
    in the form in which it is sent.

    Args:
        numbered: the lines, starting with line 1; or records, each on one line.
        stamp: gives versions and, with its clock, the time that versions are compared with.
        converter: converts lines of another shape; None if the lines are events.
    """
    for number, line in enumerate(numbered, start=1):
        if isinstance(line, UnreadableRecord):
            yield BadLine(number, line.reason, shortened(line.detail))
            continue
        if not line.strip():
            continue
        text = line.rstrip(b"\r\n")
        try:
            if len(line) > MAX_LINE_BYTES:
                detail = f"more than {MAX_LINE_BYTES} bytes in one line: write one event per line"
                raise InvalidEventError("too_large", detail)  # noqa: TRY301 - one place reports bad lines
            whole = text if converter is None else converter.convert(text)
            read = checked(event.decode(_stamped(whole, stamp)), stamp.unix())
        except InvalidEventError as invalid:
            origin = None if converter is None else converter.origin(invalid.detail, text)
            named = "" if origin is None else f" (field `{origin}` of the record)"
            detail = shortened(invalid.detail + named)
            yield BadLine(number, invalid.reason, detail)
        else:
            yield read


def read_ahead[T](items: Iterable[T], after: float = PAUSE_AFTER_SECONDS) -> Iterator[T | Pause]:
    """Yield the items, and a PAUSE whenever no item arrives for `after` seconds.

    For a live source (a pipe, a queue): a thread reads up to 1,000 items ahead, so that an item
    does not wait for the next one. An exception of the source is raised here.
    """
    read: queue.Queue[T | _EndOfSource] = queue.Queue(maxsize=1000)
    unwanted = threading.Event()
    threading.Thread(target=_feed, args=(items, read, unwanted), daemon=True).start()
    try:
        while True:
            try:
                item = read.get(timeout=after)
            except queue.Empty:
                yield PAUSE
                continue
            if isinstance(item, _EndOfSource):
                if item.error is not None:
                    raise item.error
                return
            yield item
    finally:  # also when the consumer stops early: the thread must not wait forever for room
        unwanted.set()
        with contextlib.suppress(queue.Empty):
            while True:
                read.get_nowait()


class _EndOfSource(msgspec.Struct, frozen=True):
    """The end of a source, and the exception that ended it, if any."""

    error: Exception | None = None


def _feed[T](
    items: Iterable[T], read: "queue.Queue[T | _EndOfSource]", unwanted: threading.Event
) -> None:
    try:
        for item in items:
            if unwanted.is_set():
                return
            read.put(item)
    except Exception as error:  # noqa: BLE001 - `read_ahead` raises it
        read.put(_EndOfSource(error))
    else:
        read.put(_EndOfSource())


class _Fillable(msgspec.Struct):
    """The fields that a line may lack; every other field is skipped here."""

    type: Raw | UnsetType = UNSET
    version: Raw | UnsetType = UNSET
    occurred_at: Raw | UnsetType = UNSET


_fillable = msgspec.json.Decoder(_Fillable)


def filled(line: bytes, **values: Callable[[], bytes]) -> bytes:
    """Add the given fields that the line lacks; only their values, which are JSON, are made.

    Every other byte of the line stays unchanged, so an invalid line stays invalid.
    """
    try:
        found = _fillable.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return line  # the validator says what is wrong
    missing = [
        b'"%b":%b' % (name.encode(), value())
        for name, value in values.items()
        if getattr(found, name) is UNSET
    ]
    if not missing:
        return line
    opened = line.rstrip().removesuffix(b"}")
    separator = b"," if opened.strip() != b"{" else b""
    return opened + separator + b",".join(missing) + b"}"


def _stamped(line: bytes, stamp: Stamp) -> bytes:
    version = stamp()
    return filled(
        line,
        version=lambda: b"%d" % version,
        occurred_at=lambda: msgspec.json.encode(time_of(version)),
    )
