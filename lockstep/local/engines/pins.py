"""The artifacts of each engine, pinned with the SHA-256 of every file."""

import hashlib
from functools import cache
from pathlib import Path
from typing import Literal

import msgspec

PINS = Path(__file__).with_name("pins.json")

type EngineName = Literal["opensearch", "dynamodb", "s3"]


class Pin(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One artifact.

    Attributes:
        coordinate: `group:artifact:packaging:version`.
        sha256: of the downloaded file, as lowercase hex.
        size: of the downloaded file, in bytes.
        path: the file's path in the engine's folder; "" for an archive, which is unpacked.
        members: the files to unpack from an archive: path in the engine's folder, SHA-256.
    """

    coordinate: str
    sha256: str
    size: int
    path: str = ""
    members: dict[str, str] = {}

    @property
    def files(self) -> dict[str, str]:
        """The artifact's files in the engine's folder, and their SHA-256."""
        return self.members or {self.path: self.sha256}


class Kit(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An engine with its pinned artifacts."""

    name: EngineName
    version: str
    pins: list[Pin]

    @property
    def folder(self) -> str:
        """The engine's folder in the cache; it depends on the pins, so that versions do not mix."""
        content = hashlib.sha256(msgspec.json.encode(self)).hexdigest()
        return f"{self.name}-{self.version}-{content[:8]}"

    @property
    def size(self) -> int:
        """The size of the download in bytes."""
        return sum(pin.size for pin in self.pins)


@cache
def kits() -> dict[EngineName, Kit]:
    """The engines that this version of Lockstep starts."""
    pinned = msgspec.json.decode(PINS.read_bytes(), type=list[Kit])
    return {kit.name: kit for kit in pinned}
