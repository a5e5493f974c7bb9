"""A server that answers as an old engine, and a stack in the real engines."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import msgspec
import pytest

from lockstep.web.addresses import HOST
from tests.contract.redrive.conftest import endpoints as endpoints  # noqa: PLC0414 - the same
from tests.contract.redrive.conftest import stage as stage  # noqa: PLC0414 - the same
from tests.contract.search.test_index_on_deployment import (
    cloudformation as cloudformation,  # noqa: PLC0414 - the same
)
from tests.unit.write_to_es.engine_answers import OPENSEARCH_2_19


class OldEngine:
    """Answers `GET /` and refuses the rest; `asked` has every request."""

    def __init__(self) -> None:
        self.status = 200
        self.root: Any = OPENSEARCH_2_19
        self.asked: list[str] = []
        self._server = ThreadingHTTPServer((HOST, 0), _handler(self))
        self.url = f"http://{HOST}:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def _handler(engine: OldEngine) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            self.rfile.read(int(self.headers.get("content-length", 0)))
            engine.asked.append(f"{self.command} {self.path}")
            root = engine.asked[-1] == "GET /"
            body = msgspec.json.encode(engine.root if root else {"error": "no", "status": 400})
            self.send_response(engine.status if root else 400)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = _answer  # noqa: N815 - http.server's names

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    return Handler


@pytest.fixture
def old_engine() -> Iterator[OldEngine]:
    engine = OldEngine()
    yield engine
    engine.close()
