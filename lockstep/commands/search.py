"""`lockstep search`: find images in the index."""

from pathlib import Path

import click

from functions.search_images.search import SearchResult
from lockstep.commands.chosen_stack import connected, stack_options
from lockstep.commands.options import examples, json_option
from lockstep.console.terminal import answers, highlighted, print_json
from lockstep.console.text import printable
from lockstep.stack.use_cases.search import search


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
    if len(words) > 1:
        raise click.BadParameter(f'TEXT must be one argument: lockstep search "{" ".join(words)}"')
    # Bytes of a shell that are not UTF-8 arrive as lone surrogates.
    return words[0].encode(errors="surrogateescape").decode(errors="replace")


@click.command(
    "search",
    cls=_Text,
    epilog=examples(
        'lockstep search "richmnd tames"',
        """lockstep search '"st catherine" -chapel artist:daniell'""",
    ),
)
@click.argument("text", nargs=-1, required=True, callback=_text)
@stack_options
@json_option
@click.option(
    "--size",
    type=click.IntRange(1, 100),
    metavar="N",
    default=10,
    show_default=True,
    help="Show N images, at most 100.",
)
def search_command(text: str, name: str | None, state: Path, size: int, *, as_json: bool) -> None:
    """Find images by name or by any field, with typos.

    The best match comes first. TEXT can contain "a phrase", -word (images without it), field:value
    and prefix*. Put -- before a TEXT that starts with a dash.
    """
    found = search(connected(name, state), text, size=size)
    if as_json:
        print_json(found)
    else:
        show_search(found)


def show_search(found: SearchResult) -> None:
    """Print search results as text: each name, and the other fields that match."""
    for hit in found.hits:
        answers.print(highlighted(hit.name_html), f" {hit.image_id}", sep="")
        for field, fragments in hit.highlights.items():
            answers.print(f"  {printable(field)}: ", highlighted(" … ".join(fragments)), sep="")
    if found.did_you_mean is not None:
        answers.print(f"did you mean: {printable(found.did_you_mean)}")
    answers.print(f"{found.total:,} found" if found.total else "nothing found")
