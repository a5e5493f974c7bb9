"""`lockstep page`: a deployed stack's search page, in the browser on this machine."""

from pathlib import Path

import click

from lockstep.commands.options import connected, stack_options
from lockstep.page.proxy import PageError, application
from lockstep.stack.use_cases.search import search_api
from lockstep.web.addresses import HOST
from lockstep.web.server import listen, serve

PORT = 8000


@click.command("page")
@stack_options
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=PORT,
    show_default=True,
    help="Of 127.0.0.1; 0: a free one.",
)
@click.option(
    "--token-file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Where a stack that takes tokens finds yours; read at each request.",
)
def page_command(name: str | None, state: Path, port: int, token_file: Path | None) -> None:
    """Show the search page of a deployed stack in a browser.

    A deployed stack answers signed requests or tokens only, and a browser has neither: this passes
    its requests on, signed with your AWS credentials, and serves 127.0.0.1 alone.
    """
    api = search_api(connected(name, state), token_file)
    api.check()
    try:
        listener = listen(HOST, port)
    except OSError as error:
        raise PageError(f"port {port} of {HOST}: {error.strerror}: name another --port") from error
    with listener:
        address = f"http://{HOST}:{listener.getsockname()[1]}/"
        serve(application(api), listener, announcement=f"find images at {address} (Ctrl-C ends it)")
