"""Waits until the local Kinesis endpoint says that something was put onto a stream."""

import urllib3
from urllib3.exceptions import HTTPError

from lockstep.stream.stream import StreamUnavailableError

CONNECT_SECONDS = 3.0
# The endpoint answers after 20 seconds, also if nothing arrives.
READ_SECONDS = 30.0
_OK = 200


class Announcements:
    """The announcements of a local Kinesis endpoint at this URL."""

    def __init__(self, endpoint: str) -> None:
        self._url = f"{endpoint}/arrivals"
        self._pool = urllib3.PoolManager(
            retries=False, timeout=urllib3.Timeout(connect=CONNECT_SECONDS, read=READ_SECONDS)
        )

    def after(self, state: str) -> str:
        """Wait until the state of the endpoint is another one, but not for long; return its state.

        Raises:
            StreamUnavailableError: the endpoint does not answer.
        """
        try:
            answer = self._pool.request("GET", self._url, fields={"after": state})
        except HTTPError as error:
            raise StreamUnavailableError(f"{self._url}: {error}") from error
        if answer.status != _OK:
            raise StreamUnavailableError(f"{self._url}: {answer.status}")
        return answer.data.decode()
