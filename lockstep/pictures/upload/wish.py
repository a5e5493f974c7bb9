"""What somebody wants of an upload."""

from collections.abc import Mapping
from typing import Final

import msgspec

from lockstep.pictures.ids import IdRule

DEFAULT_ZONE: Final = "UTC"
DEFAULT_JOBS: Final = 8


class UploadWish(msgspec.Struct, frozen=True):
    """What somebody wants of an upload.

    Attributes:
        rule: what keys, and so ids, are made of.
        tags: tags of all images, before the keywords of the pictures.
        attributes: attributes of all images, instead of the pictures' own ones.
        zone: the IANA name of the zone of a time without an offset.
        gps: whether positions are read.
        replaces: whether a picture takes the place of another one with the same id.
        dry: whether nothing is changed.
        jobs: how many pictures are sent at the same time.
    """

    rule: IdRule
    tags: tuple[str, ...] = ()
    attributes: Mapping[str, str] = {}
    zone: str = DEFAULT_ZONE
    gps: bool = False
    replaces: bool = False
    dry: bool = False
    jobs: int = DEFAULT_JOBS
