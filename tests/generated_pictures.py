"""Photographs of any number, each with a caption of its own: small JPEG files with EXIF."""

import hashlib
import io
import random
from collections.abc import Mapping
from pathlib import Path

from PIL import Image

_DESCRIPTION, _MAKE, _MODEL, _PHOTO, _TAKEN, _OFFSET = (
    0x010E,
    0x010F,
    0x0110,
    0x8769,
    0x9003,
    0x9011,
)
_WIDTH, _HEIGHT = 96, 64
_IN_A_FOLDER = 50


def write_pictures(folder: Path, count: int, seed: str) -> Mapping[str, str]:
    """Write this many, some in folders.

    Returns:
        The caption of each, by its path below the folder. Each has a word that no other one has.
    """
    captions: dict[str, str] = {}
    for number in range(count):
        word = _word(f"{seed} {number}")
        path = f"DSC_{number:05}.jpg"
        if number >= _IN_A_FOLDER:
            path = f"{number // _IN_A_FOLDER:03} été/{path}"
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        captions[path] = f"The way from {word} down to the lake"
        file.write_bytes(_photograph(captions[path], number))
    return captions


def _word(text: str) -> str:
    """A word of twelve letters by chance, so that no other one is a typing error of it."""
    digest = hashlib.sha256(text.encode()).digest()
    return "".join(chr(ord("a") + byte % 26) for byte in digest[:12])


def _photograph(caption: str, number: int) -> bytes:
    chance = random.Random(number)
    pixels = Image.frombytes("L", (_WIDTH, _HEIGHT), chance.randbytes(_WIDTH * _HEIGHT))
    exif = Image.Exif()
    exif[_DESCRIPTION], exif[_MAKE], exif[_MODEL] = caption, "Nordlicht", "NL-200"
    hour, minute = divmod(number % 1440, 60)
    exif[_PHOTO] = {_TAKEN: f"2024:05:17 {hour:02}:{minute:02}:00", _OFFSET: "+02:00"}
    out = io.BytesIO()
    pixels.convert("RGB").save(out, "JPEG", exif=exif)
    return out.getvalue()
