"""`lockstep smoke`: one image goes the whole way, and is removed again."""

from pathlib import Path

import click

from lockstep.commands.chosen_stack import connected, written_stack_options
from lockstep.commands.options import NumberRange, examples, json_option
from lockstep.console.terminal import answers, print_json, print_table
from lockstep.stack.use_cases.smoke import smoke


@click.command(
    "smoke",
    epilog=examples(
        "lockstep smoke", "lockstep smoke --stack lockstep", "lockstep smoke --wait 30 --json"
    ),
)
@written_stack_options
@json_option
@click.option(
    "--wait",
    type=NumberRange(min=0),
    metavar="SECONDS",
    default=120.0,
    show_default=True,
    help="Wait at most this long for each step.",
)
@click.option(
    "--token-file",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="File with your token, for a stack that requires tokens.",
)
def smoke_command(
    name: str | None, state: Path, wait: float, token_file: Path | None, *, as_json: bool
) -> None:
    """Put an image, find it, compare both stores, and delete it.

    The image goes the way of every image: through the stream and both consumers into both stores,
    and through the search API. For some seconds, searches can find it. Its tombstone stays.

    Exit code 0: every step works. 2: a step does not; the message says which.
    """
    found = smoke(connected(name, state), wait, token_file)
    if as_json:
        print_json(found)
        return
    print_table(
        ["step", " seconds"], [[step, f"{after:,.1f}"] for step, after in found.seconds.items()]
    )
    answers.print("all steps work")
