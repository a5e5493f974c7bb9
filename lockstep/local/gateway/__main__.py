"""The process of the local API Gateway: `python -m lockstep.local.gateway`."""

import logging
import sys
from contextlib import closing
from pathlib import Path

import click
from platformdirs import user_cache_path

from lockstep.local.gateway.server import application
from lockstep.local.mapping.intrinsics import TemplateError
from lockstep.local.mapping.pool import Pool, lambda_environment
from lockstep.local.mapping.template import function_named
from lockstep.local.metrics import MetricRecorder
from lockstep.stack.shipped import TEMPLATE, shipped
from lockstep.stack.stack import StackNotFoundError, read_local
from lockstep.web.addresses import HOST
from lockstep.web.server import listen, serve


@click.command()
@click.option(
    "--state", required=True, type=click.Path(path_type=Path), help="The local stack's folder."
)
@click.option(
    "--function", "name", required=True, help="The NAME in functions.NAME.handler.handle."
)
@click.option("--host", default=HOST, show_default=True, help="Address to listen on.")
@click.option("--port", required=True, type=int, help="Port to listen on.")
@click.option(
    "--template",
    default=lambda: shipped(TEMPLATE),
    show_default="the one that comes with Lockstep",
    type=click.Path(path_type=Path),
    help="The SAM template. The handlers' import paths start in its folder.",
)
def main(*, state: Path, name: str, host: str, port: int, template: Path) -> None:
    """Invoke one function for every HTTP request until SIGTERM or SIGINT."""
    # It would warn about usage metrics.
    logging.getLogger("samtranslator").setLevel(logging.ERROR)
    template, state = template.resolve(), state.resolve()
    cache = user_cache_path("lockstep") / "templates"
    try:
        stack = read_local(state)
        function = function_named(template, name, stack, cache=cache)
    except (StackNotFoundError, TemplateError) as error:
        sys.exit(f"gateway: {error}")
    environment = lambda_environment(
        function,
        region=stack.region,
        root=template.parent,
        endpoints={"DYNAMODB": url} if (url := stack.endpoints.dynamodb) else {},
    )
    log = state / "logs" / f"{name}.log"
    pool = Pool(function, stack.region, environment, root=template.parent, log=log)
    with listen(host, port) as listener, closing(MetricRecorder(state)) as recorder:
        served = application(pool.invoke, host, emit=recorder.emit, function=function.deployed_name)
        serve(served, listener)
    pool.close(grace=0)


if __name__ == "__main__":
    main()
