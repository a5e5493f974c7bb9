"""What each engine is made of: exact artifacts and the SHA-256 of every file that is started."""

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
        sha256: of the file as it is downloaded, lower-case hex.
        size: of that file, in bytes.
        path: where it lies in the engine's folder; "" for an archive, which is unpacked.
        members: what is unpacked from an archive: path in the engine's folder, SHA-256.
    """

    coordinate: str
    sha256: str
    size: int
    path: str = ""
    members: dict[str, str] = {}

    @property
    def files(self) -> dict[str, str]:
        """The files that this artifact puts into the engine's folder, and their SHA-256."""
        return self.members or {self.path: self.sha256}


class Kit(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One engine, exactly."""

    name: EngineName
    version: str
    pins: list[Pin]

    @property
    def folder(self) -> str:
        """The engine's folder in the cache; other pins are another folder, so nothing mixes."""
        content = hashlib.sha256(msgspec.json.encode(self)).hexdigest()
        return f"{self.name}-{self.version}-{content[:8]}"

    @property
    def size(self) -> int:
        """Bytes to download."""
        return sum(pin.size for pin in self.pins)


@cache
def kits() -> dict[EngineName, Kit]:
    """The engines that this version of Lockstep starts."""
    pinned = msgspec.json.decode(PINS.read_bytes(), type=list[Kit])
    return {kit.name: kit for kit in pinned}
