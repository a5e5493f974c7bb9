"""Settles cases that cannot be redriven unchanged.

An operator corrects the event, or chooses one of two contents. The result is an event that passes
the same version checks as all others, or no event.
"""

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal

import msgspec
from msgspec import UNSET, Raw, UnsetType

from lockstep.console.errors import UserError
from lockstep.producing.checked import outgoing
from lockstep.quarantine.cases import ONLY_STORED, Case, NeedsChoice, TooOld
from lockstep.quarantine.readable import readable_fields, version_in
from lockstep.stores.contents import Content, ContentReader, content_of
from shared.event import MAX_VERSION, Event, ImageId, InvalidEventError, decode
from shared.horizon import QUARANTINE_AGE
from shared.refusal import why_refused
from shared.stamps import FIRST_STAMP, is_stamp, stamp_at, too_far_ahead

# So many stamps above the stored one are left to its producer.
_FREE_STAMPS = 1_000

_UNKNOWN_VERSION = (
    "its version cannot be read, and nothing is stored of its image: write the `version` of the "
    "source into the event, or use `--stamp` if the source does not count versions"
)

How = Literal["as_it_was", "mended", "chose_this", "chose_stored"]


class CannotSettleError(UserError):
    """A record cannot be settled as requested; the message says why, and what to do."""


class Settlement(msgspec.Struct, frozen=True):
    """How to settle one case: `event` is put onto the stream; None if no event is needed.

    `note` is the result, as a text for the operator. `first_arrival` is when the event first
    arrived, in milliseconds since 1970; None if its version is new, so that it is a new event.
    `gives_index` is an image whose content in the table the index gets; None: nothing is written to
    the index.
    """

    case: Case
    how: How
    event: Event | None
    note: str
    first_arrival: int | None = None
    gives_index: str | None = None


def choose(
    what: Literal["this", "stored"], case: Case, record: bytes, stores: ContentReader, *, now: float
) -> Settlement:
    """Settle a case by the quarantined content, or by what is stored.

    What only the index's consumer has quarantined can be settled by what the table stores.

    Args:
        what: `this`: the quarantined content wins, with a new version. `stored`: what is stored
            stays.
        case: a conflict, an outrun event, or a record that is too old.
        record: its payload.
        stores: reads what is stored now.
        now: in seconds since 1970.

    Raises:
        CannotSettleError: there is nothing to choose, newer content is stored, the chosen content
            is not valid as an event, it needs a new version and the source counts versions, the
            index is ahead of the table, or only the index's consumer has quarantined what should
            win.
        MalformedContentError: what is stored cannot be expressed as an event.
    """
    if case.of_index_only:
        if what == "this":
            raise CannotSettleError(f"{case.id}: {ONLY_STORED}")
        return _from_table(case, stores)
    may_choose = isinstance(case.verdict, NeedsChoice | TooOld)
    if not may_choose or case.version is None or case.image_id is None:
        raise CannotSettleError(f"{case.id}: there is nothing to choose: {case.verdict.why}")
    found = stores.contents(case.image_id)
    _check_not_ahead(case, case.version, found)
    if what == "this":
        return _choose_this(case, case.image_id, case.version, record, found, now)
    return _choose_stored(case, case.image_id, case.version, found, now)


def _choose_this(  # noqa: PLR0917 - a part of `choose`
    case: Case,
    image_id: str,
    version: int,
    record: bytes,
    found: Mapping[str, Content | None],
    now: float,
) -> Settlement:
    stored = [content for content in found.values() if content is not None]
    with _as_settle_error(case):
        this = content_of(decode(record))
    if len(stored) == len(found) and all(content.same_as(this) for content in stored):
        return Settlement(case, "chose_this", None, "both stores have this content already")
    above = max([version, *(content.version for content in stored)])
    if _is_superseded(case, version, stored):
        raise CannotSettleError(
            f"{case.id}: version {above} has been stored, above version {version} of this record: "
            "use `--choose stored`, or `--mend` with this content and a version of your own"
        )
    free = new_version(above, now)
    if free is None:
        raise CannotSettleError(
            f"{case.id}: image {image_id} needs a version above {above}, and its source, which "
            "counts versions, may use each of them next: use `--choose stored`, let the source "
            "send the image again, or use `--mend` with a version of your own"
        )
    event = _sendable(this.event(image_id, free), case, now)
    return Settlement(case, "chose_this", event, f"this content, as version {free}")


def _choose_stored(
    case: Case, image_id: str, version: int, found: Mapping[str, Content | None], now: float
) -> Settlement:
    stored = [content for content in found.values() if content is not None]
    if not stored and isinstance(case.verdict, TooOld):
        return Settlement(case, "chose_stored", None, "nothing is stored, and nothing is put")
    if not stored:
        raise CannotSettleError(f"{case.id}: nothing is stored: use `--choose this`")
    first, *rest = stored
    if len(stored) == len(found) and all(
        first.version == other.version and first.same_as(other) for other in rest
    ):
        return Settlement(
            case, "chose_stored", None, f"version {first.version} stays as it is stored"
        )
    # The stores differ: the table decides, and both get its content with a new version.
    chosen = found["table"]
    if chosen is None:
        raise CannotSettleError(
            f"{case.id}: only the index has the image: use `--choose this`, or run `lockstep audit`"
        )
    above = max([version, *(content.version for content in stored)])
    free = new_version(above, now)
    if free is None:
        raise CannotSettleError(
            f"{case.id}: the stores differ, and the source, which counts versions, may use each "
            f"number above {above} next: run `lockstep audit --repair`, then choose again"
        )
    event = _sendable(chosen.event(image_id, free), case, now)
    note = f"the stores differ: the table's content, as version {free}"
    return Settlement(case, "chose_stored", event, note)


def _check_not_ahead(case: Case, version: int, found: Mapping[str, Content | None]) -> None:
    """Check that the index has no version above this one and the table's.

    Its role may write any version. So a version that only the index has must not settle a record of
    the table, nor raise the version that the table gets.

    Raises:
        CannotSettleError: it has such a version.
    """
    table, index = found["table"], found["index"]
    if index is not None and index.version > max(version, 0 if table is None else table.version):
        raise CannotSettleError(
            f"{case.id}: the index is ahead of the table, with version {index.version}: settle "
            "that first (`lockstep audit`, docs/guides/restore.md)"
        )


def _is_superseded(case: Case, version: int, stored: Iterable[Content]) -> bool:
    """Whether a store holds a newer event: a higher version, if the versions say which is newer.

    For an outrun event they do not, so the arrival decides.
    """
    return any(
        content.version > version
        and ("outrun" not in case.reasons or content.arrived_at > case.arrived_at)
        for content in stored
    )


def _from_table(case: Case, stores: ContentReader) -> Settlement:
    """The index gets the table's content of the image; a higher version in the index stays."""
    image_id = case.image
    if not _is_valid(image_id):
        note = "its image is unknown: nothing is written, and the object is filed"
        return Settlement(case, "chose_stored", None, note)
    found = stores.table(image_id)
    note = (
        "the table has nothing: the index stays as it is, and the object is filed"
        if found is None
        else f"the index gets the table's version {found.version}, unless it has a higher one"
    )
    return Settlement(case, "chose_stored", None, note, gives_index=image_id)


def _sendable(event: Event, case: Case, now: float) -> Event:
    with _as_settle_error(case):
        outgoing(event, now)
    return event


@contextmanager
def _as_settle_error(case: Case) -> Iterator[None]:
    """Turns InvalidEventError into CannotSettleError."""
    try:
        yield
    except InvalidEventError as invalid:
        raise CannotSettleError(f"{case.id}: {invalid}") from None


class Correction(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A line of a `--mend` file: the ID of the record, and the event that it should have been.

    `record` is what an export said about the record. It is not read.
    """

    id: str
    event: Raw
    record: Raw | UnsetType = UNSET


def read_correction(line: bytes) -> Correction:
    """Decode a line.

    Raises:
        CannotSettleError: it is not such a line.
    """
    try:
        return msgspec.json.decode(line, type=Correction)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        other = 'not a correction: write one {"id": "...", "event": {...}} a line'
        raise CannotSettleError(_why(line, error, other)) from None


def correct(
    case: Case,
    record: bytes,
    event: Raw,
    stores: ContentReader,
    *,
    now: float,
    stamp: bool = False,
) -> Settlement:
    """Settle a case by the corrected event.

    A missing `version` is the old one, also if the record has it as text or as `1.0`. A missing
    `occurred_at` is the record's arrival. The version is new if the old one is unknown, is taken by
    other content, is too far ahead, or is too old to be safe (docs/internals/invariants.md).

    Args:
        case: what is corrected.
        record: its payload.
        event: the corrected event.
        stores: says which versions are taken.
        now: in seconds since 1970.
        stamp: if the old version is unknown and nothing is stored, the version is a stamp.

    Raises:
        CannotSettleError: it is still not a valid event, it is of another image although the record
            has a valid ID, a higher version of that other image is stored, the index is ahead of
            the table, only the index's consumer has quarantined the record, or its source may count
            versions and none is known.
    """
    if case.of_index_only:
        raise CannotSettleError(f"{case.id}: {ONLY_STORED}")
    fields = _plain(event)
    readable = readable_fields(record)
    renamed = _is_renamed(case, readable.get("image_id"), fields.get("image_id"))
    old = version_in(readable)
    asked = "version" in fields
    fields.setdefault("version", old or 1)
    fields.setdefault("occurred_at", dt.datetime.fromtimestamp(case.arrived_at / 1000, dt.UTC))
    age = now - case.arrived_at / 1000
    too_old = isinstance(case.verdict, TooOld) or age > QUARANTINE_AGE.total_seconds()
    with _as_settle_error(case):
        corrected = decode(msgspec.json.encode(fields))
        found = stores.contents(corrected.image_id)
        _check_not_ahead(case, corrected.version, found)
        stored = [one for one in found.values() if one is not None]
        newest = max((content.version for content in stored), default=0)
        if newest > corrected.version and (asked or old is not None):
            if renamed:
                # Nothing shows that what is stored is newer content of the same image.
                raise CannotSettleError(
                    f"{case.id}: version {newest} of image {corrected.image_id} is stored: write a "
                    "higher `version` into the event to replace it"
                )
            # With a new version, the correction would overwrite newer content.
            note = f"nothing to do: version {newest} is stored; only a higher version would win"
            return Settlement(case, "mended", None, note)
        of_image = _of_image(corrected.image_id, newest) if renamed else ""
        this = content_of(corrected)
        ahead = too_far_ahead(corrected.version, now)
        is_new = corrected.version > (old or corrected.version)
        if not asked and old is None:
            if not stored and not stamp:
                # All later events of a source that counts would be lower than a stamp.
                raise CannotSettleError(f"{case.id}: {_UNKNOWN_VERSION}")
            why = "its version is unknown"
        elif any(one.version == corrected.version and not one.same_as(this) for one in stored):
            why = f"version {corrected.version} has other content"
        elif too_old and not is_new:
            why = f"version {corrected.version} is too old"
        elif ahead and not asked:
            why = f"version {corrected.version} is too far ahead"
        else:
            outgoing(corrected, now)
            first_arrival = None if is_new else case.arrived_at
            note = f"as {of_image}version {corrected.version}"
            return Settlement(case, "mended", corrected, note, first_arrival)
        # A version too far ahead is not used, but it shows that the versions are stamps.
        lowest = FIRST_STAMP if ahead else corrected.version
        above = newest if not asked and old is None else max(newest, lowest)
        version = new_version(above or None, now)
        if version is None:
            raise CannotSettleError(
                f"{case.id}: {why}, and the source, which counts versions, may use each number "
                f"above {above} next: write another `version` into the event"
            )
        renewed = msgspec.structs.replace(corrected, version=version)
        outgoing(renewed, now)
    return Settlement(case, "mended", renewed, f"as {of_image}version {version}: {why}")


def _of_image(image_id: str, newest: int) -> str:
    """Which image a correction is of, in words: another one than the record says."""
    stored = f", which has version {newest}" if newest else ""
    return f"image {image_id}{stored}, "


def new_version(above: int | None, now: float) -> int | None:
    """A stamp above this version that the source of the image will not use.

    Returns:
        None if this version is a count: the source may use every higher number. A stamp would make
        all later counts of the source outrun.
    """
    stamp = stamp_at(now)
    if above is None:
        return stamp
    if not is_stamp(above):
        return None
    # If the clock of a producer went back, it goes on from its last stamp, in steps of one.
    return stamp if stamp > above else min(above + 1 + _FREE_STAMPS, MAX_VERSION)


def _plain(event: Raw) -> dict[str, Any]:
    try:
        return msgspec.json.decode(event, type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        other = "the event is not a JSON object: write {...}"
        raise CannotSettleError(_why(bytes(event), error, other)) from None


def _why(data: bytes, error: Exception, other: str) -> str:
    """What is wrong with data that cannot be decoded; `other` if it is JSON."""
    return other if isinstance(error, msgspec.ValidationError) else why_refused(data, error).detail


def _is_renamed(case: Case, said: object, image_id: object) -> bool:
    """Whether the correction gives the image another ID than the record.

    It may do so only if the record has no valid ID: the text or the number that it states is none,
    or it states neither and its partition key is none. So a typing error does not change another
    image.

    Raises:
        CannotSettleError: the record has a valid ID, and this is another one.
    """
    known = [case.image_id, case.partition_key, said]
    if image_id in known:
        return False
    is_named = isinstance(said, str | int) and not isinstance(said, bool)
    stated = str(said) if is_named else case.partition_key
    if _is_valid(stated) and (isinstance(said, str) or stated == case.partition_key):
        names = " or ".join(sorted({repr(one) for one in known if one is not None}))
        raise CannotSettleError(
            f"{case.id}: image_id is {image_id!r}, but the record is about {names}"
        )
    return True


def _is_valid(image_id: object) -> bool:
    try:
        msgspec.convert(image_id, ImageId)
    except msgspec.ValidationError:
        return False
    return True
