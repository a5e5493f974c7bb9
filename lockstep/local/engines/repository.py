"""Maven Central, the repository that the engines are downloaded from."""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import requests
import truststore
from jgo.maven import MavenContext
from requests.adapters import HTTPAdapter
from urllib3 import PoolManager, Retry

from lockstep.local.engines.artifacts import PARALLEL, DownloadError
from lockstep.local.engines.pins import Pin

CHUNK = 1 << 16
# Seconds without data after which a connection counts as lost.
TIMEOUT = 30.0
RETRIES = Retry(total=3, backoff_factor=0.5, status_forcelist=(429, 500, 502, 503, 504))
PARTIAL_CONTENT = 206


class Repository:
    """Maven Central as jgo knows it, or another repository; retries failed requests."""

    def __init__(self, maven: MavenContext | None = None, retries: Retry = RETRIES) -> None:
        self._maven = maven or MavenContext()
        self._session = requests.Session()
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, _Adapter(pool_maxsize=PARALLEL, max_retries=retries))

    @contextmanager
    def read(self, pin: Pin, start: int) -> Iterator["RepositoryDownload"]:
        """See `ArtifactRepository.read`."""
        headers = {"Range": f"bytes={start}-"} if start else {}
        address = self._address(pin)
        with (
            _connection(pin),
            self._session.get(address, headers=headers, stream=True, timeout=TIMEOUT) as response,
        ):
            if not response.ok:
                raise DownloadError(
                    f"cannot download {pin.coordinate}: the repository answered "
                    f"{response.status_code} {response.reason}; try again later"
                )
            yield RepositoryDownload(
                response, start if response.status_code == PARTIAL_CONTENT else 0
            )

    def _address(self, pin: Pin) -> str:
        group, artifact, packaging, version = pin.coordinate.split(":")
        component = self._maven.project(group, artifact).at_version(version)
        (repository,) = self._maven.remote_repos.values()
        name = component.artifact(packaging=packaging).filename
        return f"{repository}/{component.path_prefix.as_posix()}/{name}"


class _Adapter(HTTPAdapter):
    """Trusts the certificate authorities that the system trusts, including a company's own."""

    def init_poolmanager(self, *sizes: Any, **options: Any) -> None:
        super().init_poolmanager(*sizes, ssl_context=_system_trust(), **options)

    def proxy_manager_for(self, proxy: str, **options: Any) -> PoolManager:
        manager: PoolManager = super().proxy_manager_for(
            proxy, ssl_context=_system_trust(), **options
        )
        return manager


def _system_trust() -> ssl.SSLContext:
    return truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


class RepositoryDownload:
    """A download from the repository."""

    def __init__(self, response: requests.Response, start: int) -> None:
        self._response = response
        self.start = start

    def chunks(self) -> Iterator[bytes]:
        """See `Download.chunks`."""
        yield from self._response.iter_content(CHUNK)


@contextmanager
def _connection(pin: Pin) -> Iterator[None]:
    """Report a network failure as a DownloadError."""
    try:
        yield
    except requests.RequestException as error:
        raise DownloadError(
            f"cannot download {pin.coordinate} ({type(error).__name__}): check the network and "
            "run the command again; it resumes the download"
        ) from None
