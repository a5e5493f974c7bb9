"""An application over HTTP, in a thread of the tests."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from starlette.types import ASGIApp

from lockstep.web import server as web
from lockstep.web.addresses import HOST


@contextmanager
def serving(app: ASGIApp) -> Iterator[str]:
    """Where the application answers."""
    server = web.server(app)
    with web.listen(HOST, 0) as listener:
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        try:
            yield f"http://{HOST}:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()
