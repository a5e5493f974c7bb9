"""The process of the Kinesis endpoint: `python -m lockstep.local.kinesis --database FILE`."""

import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import click

from lockstep.local.kinesis.endpoint import Endpoint
from lockstep.local.kinesis.http2 import Http1Or2
from lockstep.local.kinesis.limits import PerShard, Unlimited
from lockstep.local.kinesis.server import application
from lockstep.local.kinesis.store import Store
from lockstep.local.metrics import Emit, MetricRecorder, emit_nothing
from lockstep.stream.kinesis_file import UnusableDatabaseError
from lockstep.web.addresses import HOST
from lockstep.web.local_names import LocalNamesOnly
from lockstep.web.server import listen_or_exit, serve


def _now() -> int:
    return time.time_ns() // 1_000_000


@click.command()
@click.option(
    "--database", required=True, type=click.Path(path_type=Path), help="SQLite file of the streams."
)
@click.option("--host", default=HOST, show_default=True, help="Address to listen on.")
@click.option("--port", default=0, show_default="a free one", help="Port to listen on.")
@click.option("--limits", is_flag=True, help="Throttle each shard as Kinesis does.")
@click.option(
    "--metrics",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="Folder for the metrics of the streams, as CloudWatch has them. None without it.",
)
@click.option("--region", default="us-east-1", show_default=True, help="Region in the ARNs.")
@click.option("--account", default="000000000000", show_default=True, help="Account in the ARNs.")
def main(
    *,
    database: Path,
    host: str,
    port: int,
    limits: bool,
    metrics: Path | None,
    region: str,
    account: str,
) -> None:
    """Serve Kinesis on this machine until SIGTERM or SIGINT."""
    listener = listen_or_exit(host, port, program="kinesis")
    try:
        store = Store.open(database)
    except UnusableDatabaseError as error:
        sys.exit(f"kinesis: cannot use the database: {error}")
    with store, listener, _emitting(metrics) as emit:
        throttle = PerShard() if limits else Unlimited()
        endpoint = Endpoint(store, _now, throttle, region, account, emit=emit)
        at = f"http://{host}:{listener.getsockname()[1]}"
        serve(
            LocalNamesOnly(application(endpoint), host),
            listener,
            lifespan="on",
            http=Http1Or2,
            announcement=f"kinesis: listening on {at}",
            stopping=endpoint.stop,
        )


@contextmanager
def _emitting(folder: Path | None) -> Iterator[Emit]:
    if folder is None:
        yield emit_nothing
        return
    with closing(MetricRecorder(folder)) as recorder:
        yield recorder.emit


if __name__ == "__main__":
    main()
