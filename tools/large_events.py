"""Valid events of the permitted size, with all fields full, whose words are not alike."""

import datetime as dt
import random
from collections.abc import Sequence
from functools import cache

from shared.event import MAX_DESCRIPTION_BYTES, MAX_VALUE_BYTES, Event, Image, decode, encode

_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_TAGS, _TAG_BYTES = 64, 1_024
_ATTRIBUTES, _ATTRIBUTE_BYTES = 64, 2_050


def large_events(count: int, *, version: int = 1) -> Sequence[Event]:
    """Events of about 240 KB, always the same for a count; each is of an image of its own."""
    return [_event(f"large-{number:04}", version) for number in range(count)]


def _event(image_id: str, version: int) -> Event:
    chance = random.Random(f"{image_id} {version}")
    event = Event(
        type="image.uploaded",
        image_id=image_id,
        version=version,
        occurred_at=dt.datetime(2026, 11, 21, tzinfo=dt.UTC),
        image=Image(
            name=_words(MAX_VALUE_BYTES, chance),
            description=_words(MAX_DESCRIPTION_BYTES, chance),
            url=f"s3://pictures/{image_id}.jpg",
            content_type="image/jpeg",
            size_bytes=348_112,
            width=1_536,
            height=1_024,
            checksum=f"sha256:{chance.randbytes(32).hex()}",
            uploaded_by="u-117",
            taken_at=dt.datetime(1826, 5, 1, tzinfo=dt.UTC),
            tags=tuple(_words(_TAG_BYTES, chance) for _ in range(_TAGS)),
            attributes={
                f"attribute{number}": _words(_ATTRIBUTE_BYTES, chance)
                for number in range(_ATTRIBUTES)
            },
        ),
    )
    return decode(encode(event))


@cache
def _vocabulary() -> Sequence[str]:
    chance = random.Random(1)
    return ["".join(chance.choices(_LETTERS, k=chance.randint(3, 10))) for _ in range(20_000)]


def _words(size: int, chance: random.Random) -> str:
    """Words, so many bytes in all."""
    return " ".join(chance.choices(_vocabulary(), k=size // 4))[:size]
