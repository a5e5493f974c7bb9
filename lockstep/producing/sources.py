"""The sources: lines of NDJSON become events, stamped and judged, one bad line costing no other."""

import contextlib
import queue
import threading
from collections.abc import Iterable, Iterator
from typing import BinaryIO, Protocol

import msgspec
from msgspec import UNSET, Raw, UnsetType

from lockstep.producing.producer import PAUSE, Pause, Stamp, outgoing
from lockstep.stores.stamps import time_of
from shared import event
from shared.event import Event, InvalidEventError, Reason

# Room for an event's 256 KiB and for what a converter leaves out of a source record.
MAX_LINE_BYTES = 1024 * 1024

# How long a live source may keep back what was read before it: below what a person notices.
PAUSE_AFTER_SECONDS = 0.1


class BadLine(msgspec.Struct, frozen=True):
    """A line that became no event: its number, from 1, why, and how to mend it."""

    line: int
    reason: Reason
    detail: str


class Converter(Protocol):
    """Makes events of records of another shape: `FieldMapping`, for one."""

    def convert(self, line: bytes) -> bytes:
        """The event's JSON in a source record; valid or not, which the validator judges.

        Raises:
            InvalidEventError: the record cannot be mapped.
        """
        ...

    def origin(self, finding: str) -> str | None:
        """The record's field that this finding of the validator is about, if it can be told."""
        ...


def lines(file: BinaryIO) -> Iterator[bytes]:
    """A file's lines, in bounded memory: of a line beyond MAX_LINE_BYTES only the start."""
    while line := file.readline(MAX_LINE_BYTES + 1):
        yield line
        while len(line) > MAX_LINE_BYTES and not line.endswith(b"\n"):
            line = file.readline(MAX_LINE_BYTES + 1)


def read_events(
    numbered: Iterable[bytes], stamp: Stamp, converter: Converter | None = None
) -> Iterator[Event | BadLine]:
    """The event in each line, or why there is none; blank lines are passed over.

    A missing `version` or `occurred_at` is stamped. What comes out as an event is valid also as
    it will be sent, at this time.

    Args:
        numbered: the lines, from line 1 on.
        stamp: gives versions and, by its clock, the time to judge them by.
        converter: makes the events, when the lines are records of another shape.
    """
    for number, line in enumerate(numbered, start=1):
        if not line.strip():
            continue
        try:
            if len(line) > MAX_LINE_BYTES:
                detail = f"more than {MAX_LINE_BYTES} bytes in one line: one event a line"
                raise InvalidEventError("too_large", detail)  # noqa: TRY301 - one place tells of bad lines
            text = line.rstrip(b"\r\n")
            whole = text if converter is None else converter.convert(text)
            read = event.decode(_stamped(whole, stamp))
            outgoing(read, stamp.unix())
        except InvalidEventError as invalid:
            origin = None if converter is None else converter.origin(invalid.detail)
            named = "" if origin is None else f" (field `{origin}` of the record)"
            yield BadLine(number, invalid.reason, _with_mending(invalid) + named)
        else:
            yield read


def read_ahead[T](items: Iterable[T], after: float = PAUSE_AFTER_SECONDS) -> Iterator[T | Pause]:
    """The same items, and a PAUSE when none has come for `after` seconds.

    For a live source (a pipe, a queue): reads in a thread of its own, a few items ahead, so that
    what came before need not wait for what comes next. What the source raises is raised here.
    """
    read: queue.Queue[T | _Ended] = queue.Queue(maxsize=1000)
    unwanted = threading.Event()
    threading.Thread(target=_feed, args=(items, read, unwanted), daemon=True).start()
    try:
        while True:
            try:
                item = read.get(timeout=after)
            except queue.Empty:
                yield PAUSE
                continue
            if isinstance(item, _Ended):
                if item.error is not None:
                    raise item.error
                return
            yield item
    finally:  # also when the reader stops early: the thread must not wait for room for ever
        unwanted.set()
        with contextlib.suppress(queue.Empty):
            while True:
                read.get_nowait()


class _Ended(msgspec.Struct, frozen=True):
    """The end of a source, and what it raised, if anything."""

    error: Exception | None = None


def _feed[T](
    items: Iterable[T], read: "queue.Queue[T | _Ended]", unwanted: threading.Event
) -> None:
    try:
        for item in items:
            if unwanted.is_set():
                return
            read.put(item)
    except Exception as error:  # noqa: BLE001 - handed over: it is raised to the reader
        read.put(_Ended(error))
    else:
        read.put(_Ended())


class _Fillable(msgspec.Struct):
    """What may be left out of a line; all else in it is passed over here."""

    type: Raw | UnsetType = UNSET
    version: Raw | UnsetType = UNSET
    occurred_at: Raw | UnsetType = UNSET


_fillable = msgspec.json.Decoder(_Fillable)


def filled(line: bytes, **values: bytes) -> bytes:
    """The line with what is missing of these (JSON, by field) put in at its end.

    Every other byte stays as it is: what is not valid does not become so by being encoded anew.
    """
    try:
        found = _fillable.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return line  # the validator says why
    missing = [
        b'"%b":%b' % (name.encode(), value)
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
    return filled(line, version=b"%d" % version, occurred_at=msgspec.json.encode(time_of(version)))


# What to do about the validator's commonest findings, by what it says.
_MENDING = (
    ("unknown field", "leave it out, or make it a text in image.attributes"),
    ("missing required field", "add it"),
    ("Invalid enum value", "use image.uploaded, image.updated or image.deleted"),
    ("timezone", "write a time with its zone, as 2026-11-21T08:00:00Z"),
    ("datetime", "write a time as 2026-11-21T08:00:00Z"),
    ("matching regex", "use only the letters, digits and signs that this allows"),
    ("of length >=", "do not leave it empty"),
    ("of length <=", "shorten it"),
    ("bytes of UTF-8", "shorten it"),
    ("Expected `int`, got", "write a whole number, without quotes or point"),
    ("Expected `int`", "use a number in this range"),
    ("Expected `str`", "write a text, in quotes"),
    ("Expected `array`", "write a list, in brackets"),
    ("Expected `object`", "write an object, in braces"),
)


def _with_mending(invalid: InvalidEventError) -> str:
    """What is wrong and how to mend it; the validator says both of all but its schema."""
    if invalid.reason == "schema":
        for finding, mending in _MENDING:
            if finding in invalid.detail:
                return f"{invalid.detail}: {mending}"
    return invalid.detail
