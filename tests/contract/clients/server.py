"""A server that says what a test wants, and the real clients that ask it."""

import socket
import threading
from typing import Any

import boto3
import opensearchpy
from botocore.config import Config

SECONDS = 5


class Server:
    """Gives whoever asks the first bytes of an answer, and hangs up."""

    def __init__(self) -> None:
        self.says = b""
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def close(self) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._thread.join()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            with connection, connection.makefile("rwb") as stream:
                length = 0
                while (line := stream.readline().lower()) not in (b"\r\n", b""):
                    if line.startswith(b"content-length:"):
                        length = int(line.partition(b":")[2])
                    if line.startswith(b"expect:"):
                        stream.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                        stream.flush()
                stream.read(length)
                stream.write(self.says)


def aws(service: Any, server: Server) -> Any:
    """A client of one of AWS's services that tries once."""
    return boto3.client(
        service,
        endpoint_url=server.url,
        region_name="us-east-1",
        aws_access_key_id="a",
        aws_secret_access_key="b",
        config=Config(
            retries={"total_max_attempts": 1},
            connect_timeout=SECONDS,
            read_timeout=SECONDS,
            s3={"addressing_style": "path"},
        ),
    )


def opensearch(server: Server) -> opensearchpy.OpenSearch:
    """A client of OpenSearch that tries once."""
    return opensearchpy.OpenSearch([server.url], timeout=SECONDS, max_retries=0, retry_on_status=())
