"""The door of the Kinesis endpoint: `python -m lockstep.local.kinesis --database FILE`."""

import signal
import socket
import sys
import time
from pathlib import Path

import click
import uvicorn

from lockstep.local.kinesis.endpoint import Endpoint
from lockstep.local.kinesis.limits import PerShard, Unlimited
from lockstep.local.kinesis.server import application
from lockstep.local.kinesis.store import Store, UnusableDatabaseError

_SHUTDOWN_SECONDS = 5


def _now() -> int:
    return time.time_ns() // 1_000_000


@click.command()
@click.option(
    "--database", required=True, type=click.Path(path_type=Path), help="SQLite file of the streams."
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=0, show_default="a free one", help="Port to listen on.")
@click.option("--limits", is_flag=True, help="Throttle each shard as Kinesis does.")
@click.option("--region", default="us-east-1", show_default=True, help="Region in the ARNs.")
@click.option("--account", default="000000000000", show_default=True, help="Account in the ARNs.")
def main(*, database: Path, host: str, port: int, limits: bool, region: str, account: str) -> None:
    """Serve Kinesis on this machine until SIGTERM or SIGINT."""
    listener = _listen(host, port)
    try:
        store = Store.open(database)
    except UnusableDatabaseError as error:
        sys.exit(f"kinesis: cannot use the database: {error}")
    with store, listener:
        endpoint = Endpoint(store, _now, PerShard() if limits else Unlimited(), region, account)
        server = uvicorn.Server(
            uvicorn.Config(
                application(endpoint),
                access_log=False,
                log_level="warning",
                lifespan="on",
                ws="none",
                timeout_graceful_shutdown=_SHUTDOWN_SECONDS,
            )
        )

        def stop(_signal: int, _frame: object) -> None:
            # uvicorn raises the signal again once it has shut down; being stopped is no failure.
            server.should_exit = True

        signal.signal(signal.SIGTERM, stop)
        signal.signal(signal.SIGINT, stop)
        click.echo(f"kinesis: listening on http://{host}:{listener.getsockname()[1]}")
        server.run(sockets=[listener])


def _listen(host: str, port: int) -> socket.socket:
    # The protocol is named because asyncio turns Nagle's delay off only where it reads TCP.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        message = f"kinesis: cannot listen on port {port} of {host}: {error.strerror}"
        sys.exit(f"{message}: use another --port or --host")
    listener.listen(128)
    return listener


if __name__ == "__main__":
    main()
