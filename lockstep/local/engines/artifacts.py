"""The interface of a repository of artifacts, from which engines are downloaded."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Protocol

from lockstep.local.engines.pins import Pin
from lockstep.local.processes import LocalStackError

# The number of concurrent downloads.
PARALLEL = 8


class DownloadError(LocalStackError):
    """An engine is incomplete and cannot be completed; the message says what to do."""


class Download(Protocol):
    """An artifact that is being downloaded."""

    @property
    def start(self) -> int:
        """The offset of its first byte: 0 if the repository cannot resume a download."""

    def chunks(self) -> Iterator[bytes]:
        """Its bytes.

        Raises:
            DownloadError: the connection is lost.
        """
        ...


class ArtifactRepository(Protocol):
    """A repository of artifacts."""

    def read(self, pin: Pin, start: int) -> AbstractContextManager[Download]:
        """Download an artifact from the byte at `start`.

        Raises:
            DownloadError: it is not available.
        """
        ...
