"""The process of the Table Store endpoint: `python -m lockstep.local.tablestore`."""

import sys
from pathlib import Path

import click

from lockstep.local.tablestore.endpoint import TableStoreEndpoint
from lockstep.local.tablestore.server import application, now
from lockstep.local.tablestore.signatures import Account
from lockstep.local.tablestore.store import TableFile, UnusableTableFileError
from lockstep.web.addresses import HOST
from lockstep.web.server import listen_or_exit, serve


@click.command()
@click.option(
    "--database", required=True, type=click.Path(path_type=Path), help="SQLite file of the tables."
)
@click.option("--host", default=HOST, show_default=True, help="Address to listen on.")
@click.option("--port", default=0, show_default="a free one", help="Port to listen on.")
@click.option("--instance", default="local", show_default=True, help="Name of the instance.")
@click.option("--key-id", default="local", show_default=True, help="AccessKey ID of clients.")
@click.option("--secret", default="local", show_default=True, help="AccessKey secret of clients.")
def main(*, database: Path, host: str, port: int, instance: str, key_id: str, secret: str) -> None:
    """Serve Table Store on this machine until SIGTERM or SIGINT."""
    listener = listen_or_exit(host, port, program="tablestore")
    try:
        store = TableFile.open(database)
    except UnusableTableFileError as error:
        sys.exit(f"tablestore: cannot use the database: {error}")
    with store, listener:
        endpoint = TableStoreEndpoint(store, now, Account(key_id, secret, instance))
        at = f"http://{host}:{listener.getsockname()[1]}"
        serve(application(endpoint, host), listener, announcement=f"tablestore: listening on {at}")


if __name__ == "__main__":
    main()
