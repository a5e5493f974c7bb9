"""The settlement: what is done about a case that cannot go back as it is.

An event mended by a person, or one of two contents that a person chose; in either way what comes
of it is an event under the guard of all others, or nothing.
"""

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import msgspec
from msgspec import Raw

from lockstep.console.errors import UserError
from lockstep.producing.producer import outgoing
from lockstep.quarantine.cases import Case, NeedsChoice, TooOld
from lockstep.stores.contents import ContentReader, content_of
from lockstep.stores.stamps import FIRST_STAMP, stamp_at, too_far_ahead
from shared.event import MAX_VERSION, Event, InvalidEventError, decode

How = Literal["as_it_was", "mended", "chose_this", "chose_stored"]


class CannotSettleError(UserError):
    """A record cannot be settled in the way that was asked for; says why, and what can be done."""


class Settlement(msgspec.Struct, frozen=True):
    """How one case is to be settled: by this event, or, where it is None, by nothing more.

    `note` says to a person what comes of it. `first_came` is when the event first came, in
    milliseconds since 1970; None where its version is new, and so is the event.
    """

    case: Case
    how: How
    event: Event | None
    note: str
    first_came: int | None = None


def choose(
    what: Literal["this", "stored"], case: Case, record: bytes, stores: ContentReader, *, now: float
) -> Settlement:
    """Settle a conflict: by what was set aside, or by what is stored.

    Args:
        what: `this` content wins, under a new version; or what is `stored` stays.
        case: the conflict.
        record: its payload.
        stores: to see what is there now.
        now: in seconds since 1970.

    Raises:
        CannotSettleError: there is no conflict, what is stored has moved on, or what was chosen
            is no event that can go onto the stream.
        MalformedContentError: what is stored is nothing that any event could say.
    """
    if not isinstance(case.verdict, NeedsChoice) or case.version is None or case.image_id is None:
        raise CannotSettleError(f"{case.id} is no conflict: {case.verdict.why}")
    found = stores.contents(case.image_id)
    there = [content for content in found.values() if content is not None]
    newest = max((content.version for content in there), default=0)
    if what == "this":
        with _told_of(case):
            this = content_of(decode(record))
        if len(there) == len(found) and all(content.same_as(this) for content in there):
            return Settlement(case, "chose_this", None, "both stores say this already")
        if newest > case.version:
            raise CannotSettleError(
                f"{case.id}: version {newest} is stored meanwhile, above this conflict's "
                f"{case.version}: settle it with `--choose stored`, or put this content in with "
                "`--mend` and a version of your own"
            )
        version = new_version(max(newest, case.version), now)
        event = _sendable(this.event(case.image_id, version), case, now)
        return Settlement(case, "chose_this", event, f"this content, as version {version}")
    if not there:
        raise CannotSettleError(f"{case.id}: nothing is stored: `--choose this`")
    first, *rest = there
    if len(there) == len(found) and all(
        first.version == other.version and first.same_as(other) for other in rest
    ):
        return Settlement(case, "chose_stored", None, f"version {first.version} stays as stored")
    # The stores disagree: the system of record decides, and both meet it under a new version.
    chosen = found["table"]
    if chosen is None:
        raise CannotSettleError(
            f"{case.id}: only the index holds the image: `--choose this`, or see `lockstep audit`"
        )
    version = new_version(max(newest, case.version), now)
    event = _sendable(chosen.event(case.image_id, version), case, now)
    note = f"the stores differ: the table's content, as version {version}"
    return Settlement(case, "chose_stored", event, note)


def _sendable(event: Event, case: Case, now: float) -> Event:
    with _told_of(case):
        outgoing(event, now)
    return event


@contextmanager
def _told_of(case: Case) -> Iterator[None]:
    """Turns the reason why an event is none into one why its case cannot be settled so."""
    try:
        yield
    except InvalidEventError as invalid:
        raise CannotSettleError(f"{case.id}: {invalid}") from None


class Correction(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A line of a mending file: the id of what is set aside, and the event it should have been."""

    id: str
    event: Raw


def read_correction(line: bytes) -> Correction:
    """What a line says.

    Raises:
        CannotSettleError: it says something else.
    """
    try:
        return msgspec.json.decode(line, type=Correction)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise CannotSettleError(
            f'{error}: one line each, {{"id": "...", "event": {{...}}}}'
        ) from None


def correct(
    case: Case,
    record: bytes,
    event: Raw,
    stores: ContentReader,
    *,
    now: float,
    quarantine_age: dt.timedelta,
) -> Settlement:
    """Settle a case by the event that it should have been.

    A missing `version` is the old one, a missing `occurred_at` the time when the record came. The
    version is a new one where the old one is not known, is taken by other content, is too far
    ahead, or is too old to be safe (docs/internals/invariants.md).

    Args:
        case: what is mended.
        record: its payload.
        event: the corrected event.
        stores: to see which versions are taken.
        now: in seconds since 1970.
        quarantine_age: what is older gets a new version.

    Raises:
        CannotSettleError: it is no event still, or one of another image.
    """
    said = _plain(event)
    _check_image(case, record, said.get("image_id"))
    old = _old_version(case, record)
    asked = "version" in said
    said.setdefault("version", old or 1)
    said.setdefault("occurred_at", dt.datetime.fromtimestamp(case.arrived_at / 1000, dt.UTC))
    age = now - case.arrived_at / 1000
    too_old = isinstance(case.verdict, TooOld) or age > quarantine_age.total_seconds()
    with _told_of(case):
        mended = decode(msgspec.json.encode(said))
        there = [one for one in stores.contents(mended.image_id).values() if one is not None]
        newest = max((content.version for content in there), default=0)
        if newest > mended.version and (asked or old is not None):
            # Under a new version it would undo what came after it.
            note = f"nothing to do: version {newest} is stored (a higher one would win)"
            return Settlement(case, "mended", None, note)
        this = content_of(mended)
        ahead = too_far_ahead(mended.version, now)
        is_new = mended.version > (old or mended.version)
        if not asked and old is None:
            why = "its version is not known"
        elif any(one.version == mended.version and not one.same_as(this) for one in there):
            why = f"version {mended.version} is taken by other content"
        elif too_old and not is_new:
            why = f"version {mended.version} is too old"
        elif ahead and not asked:
            why = f"version {mended.version} is too far ahead"
        else:
            outgoing(mended, now)
            first_came = None if is_new else case.arrived_at
            return Settlement(case, "mended", mended, f"as version {mended.version}", first_came)
        # A version too far ahead says no more than that versions are stamps here.
        said_before = FIRST_STAMP if ahead else mended.version
        above = newest if not asked and old is None else max(newest, said_before)
        version = new_version(above or None, now)
        renewed = msgspec.structs.replace(mended, version=version)
        outgoing(renewed, now)
    return Settlement(case, "mended", renewed, f"as version {version}: {why}")


def new_version(above: int | None, now: float) -> int:
    """A version above this one: stamped where versions are stamps, else the next number.

    A stamp on an image whose versions are counted would make every later revision stale.
    """
    stamp = stamp_at(now)
    if above is None:
        return stamp
    version = max(stamp, above + 1) if above >= FIRST_STAMP else above + 1
    return min(version, MAX_VERSION)


def _plain(event: Raw) -> dict[str, Any]:
    try:
        return msgspec.json.decode(event, type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise CannotSettleError(f"the event is no JSON object: {error}") from None


def _check_image(case: Case, record: bytes, image_id: object) -> None:
    """A slip of the pen must not overwrite another image."""
    known = [case.image_id, case.partition_key, _leniently(record).get("image_id")]
    if image_id not in known:
        names = " or ".join(sorted({repr(one) for one in known if one is not None}))
        raise CannotSettleError(f"{case.id}: image_id is {image_id!r}, the record's is {names}")


def _old_version(case: Case, record: bytes) -> int | None:
    """The version that the record has, or was meant to have."""
    if case.version is not None:
        return case.version
    match _leniently(record).get("version"):
        case bool():
            return None
        case int(version) if 1 <= version <= MAX_VERSION:
            return version
        case _:
            return None


def _leniently(record: bytes) -> dict[str, Any]:
    """What can still be read out of a record that is no event."""
    try:
        return msgspec.json.decode(record, type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return {}
