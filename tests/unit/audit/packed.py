"""A dictionary that holds a million images in little memory."""

from collections.abc import Iterator, Mapping, MutableMapping
from typing import Any, Self

import msgspec

from lockstep.simulation.fakes.opensearch import StoredDocument


class Packed[T](MutableMapping[str, T]):
    """A dictionary that holds each value as MessagePack."""

    def __init__(self, kind: Any) -> None:
        self._decoder: msgspec.msgpack.Decoder[T] = msgspec.msgpack.Decoder(kind)
        self._encoder = msgspec.msgpack.Encoder()
        self._values: dict[str, bytes] = {}

    def __getitem__(self, key: str) -> T:
        return self._decoder.decode(self._values[key])

    def __setitem__(self, key: str, value: T) -> None:
        self._values[key] = self._encoder.encode(value)

    def __delitem__(self, key: str) -> None:
        del self._values[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __copy__(self) -> Self:
        copied = type(self).__new__(type(self))
        copied.__dict__ = {**self.__dict__, "_values": self._values.copy()}
        return copied


def packed_items() -> Packed[Mapping[str, Any]]:
    return Packed(dict[str, Any])


def packed_documents() -> Packed[StoredDocument]:
    return Packed(StoredDocument)
