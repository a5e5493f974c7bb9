"""`lockstep search`: find images in the index."""

from collections.abc import Sequence
from pathlib import Path
from typing import get_args

import click

from functions.search_images.facets import ATTRIBUTE_PREFIX, Facets
from functions.search_images.invalid import InvalidParametersError
from functions.search_images.parameters import ImagesParameters
from functions.search_images.search import SearchResult, Sort
from lockstep.commands.chosen_stack import connected, stack_options
from lockstep.commands.options import examples, json_option
from lockstep.commands.search_export import export_form, export_options, write_export
from lockstep.console.terminal import answers, highlighted, print_json, print_table
from lockstep.console.text import printable
from lockstep.stack.use_cases.search import search, search_request

# Parameters of the search API for which the command has options of its own.
NO_FILTERS = frozenset({"q", "sort", "size", "cursor"})
FILTERS = [name for name in ImagesParameters.__struct_fields__ if name not in NO_FILTERS]


class _Text(click.Command):
    """Explains how to write a text that starts with a dash."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the arguments."""
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            if error.option_name.startswith("--"):
                raise
            hint = f"{error.message} Put -- before a TEXT that starts with a dash."
            raise click.UsageError(hint, ctx) from error


def _text(_: click.Context, __: click.Parameter, words: tuple[str, ...]) -> str:
    # Bytes of a shell that are not UTF-8 arrive as lone surrogates.
    return " ".join(words).encode(errors="surrogateescape").decode(errors="replace")


def _filters(
    _: click.Context, __: click.Parameter, given: tuple[str, ...]
) -> Sequence[tuple[str, str]]:
    pairs: list[tuple[str, str]] = []
    for one in given:
        field, equals, value = one.partition("=")
        if not equals:
            raise click.BadParameter(f"{one!r}: write FIELD=VALUE")
        if field in NO_FILTERS:
            raise click.BadParameter(f"{field} is no field: use TEXT, --sort, --size or --page")
        if field not in FILTERS and not field.startswith(ATTRIBUTE_PREFIX):
            known = ", ".join([*FILTERS, f"{ATTRIBUTE_PREFIX}NAME"])
            raise click.BadParameter(f"{field!r} is no field: expected {known}")
        pairs.append((field, value))
    return pairs


@click.command(
    "search",
    cls=_Text,
    epilog=examples(
        "lockstep search richmnd tames",
        """lockstep search '"st catherine"' artist:daniell -- -chapel""",
        "lockstep search castle --filter tag=sea --sort newest",
        "lockstep search castle --filter attr.medium=watercolour --facets --page 2",
        "lockstep search castle --csv > castles.csv",
    ),
)
@click.argument("text", nargs=-1, callback=_text)
@stack_options
@json_option
@click.option(
    "--filter",
    "filters",
    multiple=True,
    callback=_filters,
    metavar="FIELD=VALUE",
    help="Only images with this value. FIELD as in the search API: tag, uploaded_by, "
    "content_type, taken_from, taken_to, min_width, max_width, min_height, max_height, attr.NAME.",
)
@click.option(
    "--sort",
    type=click.Choice(get_args(Sort)),
    help="Order of the images. Default: relevance; newest without TEXT.",
)
@click.option(
    "--size",
    type=click.IntRange(1, 100),
    metavar="N",
    default=10,
    show_default=True,
    help="Show N images a page, at most 100.",
)
@click.option(
    "--page",
    "number",
    type=click.IntRange(min=1),
    metavar="N",
    default=1,
    show_default=True,
    help="Show the page with this number.",
)
@click.option("--facets", is_flag=True, help="Show the most frequent values of all images found.")
@export_options
def search_command(
    text: str,
    name: str | None,
    state: Path,
    *,
    filters: Sequence[tuple[str, str]],
    sort: Sort | None,
    size: int,
    number: int,
    facets: bool,
    csv: bool,
    ndjson: bool,
    limit: int | None,
    as_json: bool,
) -> None:
    """Find images by name or by any field, with typos.

    The best match comes first. TEXT can contain "a phrase", -word (images without it), field:value
    and prefix*. Put -- before a word that starts with a dash. Several words need no quotes, but a
    shell takes the quotes of a phrase: write '"st catherine"'. Without TEXT, all images that the
    filters let through are found.

    --csv and --ndjson write all images found to standard output, in order of their ids. See
    docs/guides/search.md.
    """
    form = export_form(limit, csv=csv, ndjson=ndjson, as_json=as_json)
    if not text.strip() and not filters and form is None:
        raise click.UsageError("give TEXT or --filter FIELD=VALUE")
    try:
        request = search_request(text, filters, sort)
    except InvalidParametersError as error:
        raise click.UsageError(str(error)) from None
    clients = connected(name, state)
    if form is not None:
        write_export(clients, request, form, limit)
        return
    found = search(clients, request, size=size, number=number)
    if as_json:
        print_json(found.result)
    else:
        show_search(found.result, first=found.first, facets=facets)


def show_search(found: SearchResult, *, first: int = 1, facets: bool = False) -> None:
    """Print search results as text: each name, and the other fields that match.

    Args:
        found: a page of hits.
        first: the number of its first hit among all.
        facets: whether to print the facets, too.
    """
    for hit in found.hits:
        answers.print(highlighted(hit.name_html), f" {hit.image_id}", sep="")
        for field, fragments in hit.highlights.items():
            answers.print(f"  {printable(field)}: ", highlighted(" … ".join(fragments)), sep="")
    if facets:
        _show_facets(found.facets)
    if found.did_you_mean is not None:
        answers.print(f"did you mean: {printable(found.did_you_mean)}")
    if not found.total:
        answers.print("nothing found")
    elif not found.hits:
        answers.print(f"no such page: {found.total:,} found")
    elif len(found.hits) == found.total:
        answers.print(f"{found.total:,} found")
    else:
        last = first + len(found.hits) - 1
        answers.print(f"{first:,} to {last:,} of {found.total:,} found")


def _show_facets(facets: Facets) -> None:
    by_name = {
        "tag": facets.tags,
        "content_type": facets.content_type,
        "uploaded_by": facets.uploaded_by,
        **{f"{ATTRIBUTE_PREFIX}{name}": values for name, values in facets.attributes.items()},
        "year": facets.year,
    }
    rows = [
        [name, printable(one.value), f"{one.count:,}"]
        for name, values in by_name.items()
        for one in values
    ]
    if rows:
        print_table(["facet", "value", " images"], rows)
