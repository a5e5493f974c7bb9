"""`lockstep page`: the search page of a deployed stack, in a browser on this machine."""

from pathlib import Path

import click

from lockstep.commands.chosen_stack import connected, stack_options
from lockstep.commands.options import examples
from lockstep.page.proxy import PageError, application
from lockstep.stack.use_cases.search_api import search_api
from lockstep.web.addresses import HOST
from lockstep.web.server import listen, serve

PORT = 8000


@click.command(
    "page",
    epilog=examples(
        "lockstep page --stack lockstep",
        "lockstep page --stack lockstep --token-file token.txt --port 9000",
    ),
)
@stack_options
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    metavar="PORT",
    default=PORT,
    show_default=True,
    help="Port of 127.0.0.1 to listen on; 0 means any free port.",
)
@click.option(
    "--token-file",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="File with your token, for a stack that requires tokens. It is read at each request.",
)
def page_command(name: str | None, state: Path, port: int, token_file: Path | None) -> None:
    """Show the search page of a deployed stack in a browser.

    A deployed stack requires signed requests or tokens, which a browser cannot send. This command
    listens on 127.0.0.1, signs each request with your AWS credentials (or adds your token) and
    forwards it to the stack. It runs until Ctrl-C.
    """
    api = search_api(connected(name, state), token_file)
    api.check()
    try:
        listener = listen(HOST, port)
    except OSError as error:
        raise PageError(
            f"port {port} of {HOST}: {error.strerror}: choose another --port"
        ) from error
    with listener:
        address = f"http://{HOST}:{listener.getsockname()[1]}/"
        serve(application(api), listener, announcement=f"find images at {address} (Ctrl-C ends it)")
