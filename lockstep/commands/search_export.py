"""`lockstep search --csv` and `--ndjson`: all images that a search finds, for other programs."""

from collections.abc import Callable
from itertools import batched, islice
from typing import Any

import click

from functions.search_images.export import AT_ONCE
from functions.search_images.formats import ExportFormat, encoding
from functions.search_images.search import SearchRequest
from lockstep.commands.options import is_said
from lockstep.console.terminal import notes
from lockstep.console.text import counted
from lockstep.stack.clients import Clients
from lockstep.stack.use_cases.search import export

# What is for a page of results, and has no meaning for all of them.
_OF_A_PAGE = ("sort", "size", "number", "facets")


def export_options[F: Callable[..., Any]](command: F) -> F:
    """`--csv`, `--ndjson`, and `--limit` for both."""
    for option in (
        click.option(
            "--limit",
            type=click.IntRange(min=1),
            metavar="N",
            help="With --csv or --ndjson: write at most N images.",
        ),
        click.option("--ndjson", is_flag=True, help="Write all images found as NDJSON."),
        click.option("--csv", is_flag=True, help="Write all images found as CSV."),
    ):
        command = option(command)
    return command


def export_form(
    limit: int | None, *, csv: bool, ndjson: bool, as_json: bool
) -> ExportFormat | None:
    """The form in which all images are written; None: a page of them is shown.

    Raises:
        click.UsageError: the options of the search contradict each other.
    """
    if csv and ndjson:
        raise click.UsageError("give --csv or --ndjson, not both")
    form: ExportFormat | None = "csv" if csv else "ndjson" if ndjson else None
    if form is None:
        if limit is not None:
            raise click.UsageError("--limit requires --csv or --ndjson")
        return None
    if as_json:
        raise click.UsageError(f"give --json or --{form}, not both")
    if wrong := next((name for name in _OF_A_PAGE if is_said(name)), None):
        option = "page" if wrong == "number" else wrong
        raise click.UsageError(
            f"--{form} writes all images, in order of their ids: --{option} has no meaning"
        )
    return form


def write_export(
    clients: Clients, request: SearchRequest, form: ExportFormat, limit: int | None
) -> None:
    """Write the images of a search to standard output, as they are read.

    Args:
        clients: the stack's.
        request: the search.
        form: the form.
        limit: at most so many images; None: all.

    Raises:
        TooSlowError: the index did not finish in time.
        OpenSearchException: the index did not answer, or the alias does not exist.
    """
    found = export(clients, request)
    how = encoding(form, found)
    count = 0
    click.echo(how.head().encode(), nl=False)
    for some in batched(islice(found.images(), limit), AT_ONCE):
        click.echo("".join(map(how.line, some)).encode(), nl=False)
        count += len(some)
    notes.print(f"{counted(count, 'image')} written")
