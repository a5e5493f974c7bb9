"""The version of an event that changes an image: by the rules of a producer."""

from lockstep.console.errors import UserError
from lockstep.producing.producer import Stamp
from shared.stamps import FIRST_STAMP, is_stamp


class VersionError(UserError):
    """An image cannot get a version, or not this one; the message says what to do."""


def next_version(image_id: str, read: int, stamp: Stamp, given: int | None) -> int:
    """The version of an event that follows a version that was read.

    Args:
        image_id: the image.
        read: the version that was read.
        stamp: gives versions from the clock.
        given: the version that the user gave, if any.

    Raises:
        VersionError: the source counts versions, and none is given; or the given one is not higher,
            or is a stamp after a count: no count of the source would ever be higher than it.
    """
    if given is None:
        if not is_stamp(read):
            raise VersionError(
                f"image {image_id} has version {read}: its source counts versions. Change it at "
                "its source, or give the next version of the source with --version"
            )
        # The clock of this machine may be behind that of the producer.
        return max(stamp(), read + 1)
    if given <= read:
        raise VersionError(
            f"image {image_id} has version {read}: give a higher --version than that"
        )
    if is_stamp(given) and not is_stamp(read):
        raise VersionError(
            f"image {image_id} has version {read}: its source counts versions, so --version must "
            f"be a count, below {FIRST_STAMP}"
        )
    return given
