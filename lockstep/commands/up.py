"""`lockstep up` and `lockstep down`: start and stop the whole system on this machine."""

import datetime as dt
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import click
from platformdirs import user_cache_path
from rich.console import Console

from functions.search_images.page_settings import PageSettings
from lockstep.commands.chosen_stack import state_option
from lockstep.commands.options import examples, interval
from lockstep.commands.page_options import page_options
from lockstep.commands.page_options import words as page_words
from lockstep.console.extras import check_installed
from lockstep.console.terminal import answers, notes
from lockstep.console.text import printable
from lockstep.local.engines.download import install, progress_on
from lockstep.local.engines.pins import kits
from lockstep.local.prepare import prepare
from lockstep.local.processes import dying_with_parent
from lockstep.local.services import (
    ResourceNames,
    audits,
    event_source_mappings,
    pictures,
    search_api,
    servers,
)
from lockstep.local.up import Ended, detach, down, up
from lockstep.stack.clients import Clients
from lockstep.stack.shipped import TABLESTORE_TEMPLATE, TEMPLATE, shipped
from lockstep.stack.stack import IndexFrom, Stack
from lockstep.web.addresses import HOST, check_address
from shared.event import ATTRIBUTE_NAME_PATTERN, Image

# Each shard can keep one worker process of each function busy.
SHARDS = 2
# As in template.yaml.
MOST_FACETS = 10
ROUTES: Mapping[str, IndexFrom] = {
    "kinesis": "Kinesis",
    "dynamodb-streams": "DynamoDBStreams",
    "kinesis-for-dynamodb": "KinesisDataStreamsForDynamoDB",
}

index_shards_option = click.option(
    "--index-shards",
    type=click.IntRange(1, 100),
    metavar="N",
    default=1,
    show_default=True,
    help="Number of shards of the index. `lockstep rebuild` brings another number to an index.",
)
index_from_option = click.option(
    "--index-from",
    type=click.Choice(list(ROUTES)),
    default="kinesis",
    show_default=True,
    help="Source of the index: the image stream, or the changes of the table, directly or through "
    "Kinesis.",
)


def _facets(_: click.Context, __: click.Parameter, given: tuple[str, ...]) -> tuple[str, ...]:
    facets = tuple(dict.fromkeys(given))
    for one in facets:
        if one in Image.__struct_fields__:
            raise click.BadParameter(
                f"{one} is a field of an image, not an attribute: leave it out. The search has the "
                "facets of the fields tags, content_type, uploaded_by and taken_at by itself"
            )
        if not re.match(ATTRIBUTE_NAME_PATTERN, one):
            raise click.BadParameter(f"{one!r}: a name is a letter, then letters, digits, _ and -")
    if len(facets) > MOST_FACETS:
        raise click.BadParameter(f"{len(facets)} attributes, at most {MOST_FACETS}")
    return facets


@click.command(
    "up",
    epilog=examples(
        "lockstep up",
        "lockstep up --detach",
        "lockstep up --fresh --shards 4",
        "lockstep up --audit-every 1d",
        "lockstep up --facet artist --facet medium",
        "lockstep up --page-title 'Museum of Ships' --picture-host images.example.org",
        "lockstep up --replicate-to tablestore",
    ),
)
@state_option
@click.option("--fresh", is_flag=True, help="First delete all data in the folder.")
@click.option(
    "--detach", is_flag=True, help="Run in the background; return when the stack is ready."
)
@click.option(
    "--shards",
    type=click.IntRange(1, 100),
    metavar="N",
    default=SHARDS,
    show_default=True,
    help="Number of shards of a new stream.",
)
@click.option(
    "--listen",
    "host",
    metavar="ADDRESS",
    default=HOST,
    show_default=True,
    help="Address to listen on. Everyone who can connect to it can read and change all data.",
)
@index_shards_option
@index_from_option
@click.option(
    "--facet",
    "facets",
    multiple=True,
    callback=_facets,
    metavar="ATTRIBUTE",
    help="Show the values of this attribute as a facet of the search, for example artist. Up to "
    f"{MOST_FACETS} times.",
)
@page_options
@click.option(
    "--table",
    metavar="TABLE",
    help="Use this existing table, for example a restored one. `lockstep prepare` prepares it.",
)
@click.option(
    "--audit-every",
    metavar="INTERVAL",
    callback=interval,
    help="Audit the stack by itself at this interval: 1d, 12h, 30m. Reports are in the bucket of "
    "the quarantine.",
)
@click.option(
    "--replicate-to",
    type=click.Choice(["tablestore"]),
    help="Keep a replica of the table in a Table Store on this machine, too. It gets the changes "
    "from now on.",
)
@click.option(
    "--picture-trouble",
    is_flag=True,
    help="Notifications of the picture bucket come late, several times and out of order, as S3 may "
    "send them.",
)
@click.option(
    "--limits",
    is_flag=True,
    help="Throttle each shard as AWS does: 1,000 records and 1 MiB per second.",
)
def up_command(
    state: Path,
    shards: int,
    host: str,
    index_shards: int,
    index_from: str,
    *,
    facets: tuple[str, ...],
    page_title: str,
    page_accent: str,
    page_logo: str,
    picture_hosts: str,
    table: str | None,
    audit_every: dt.timedelta | None,
    replicate_to: str | None,
    picture_trouble: bool,
    fresh: bool,
    detach: bool,
    limits: bool,
) -> None:
    """Start the whole system on this machine.

    It runs until Ctrl-C, or in the background with --detach.
    """
    page = PageSettings(page_title, page_accent, page_logo, picture_hosts)
    replicates = replicate_to is not None
    if replicates:
        check_installed("tablestore")
        shipped(TABLESTORE_TEMPLATE)
    check_address(host)
    shipped(TEMPLATE)  # without it no function starts: say so before anything is started
    if detach:
        words = ["--listen", host, "--shards", str(shards), "--index-from", index_from]
        words += ["--index-shards", str(index_shards)]
        words += [*(["--fresh"] if fresh else []), *(["--limits"] if limits else [])]
        words += [word for facet in facets for word in ("--facet", facet)]
        words += page_words(page)
        words += ["--table", table] if table else []
        words += ["--replicate-to", replicate_to] if replicate_to else []
        words += ["--picture-trouble"] if picture_trouble else []
        if audit_every is not None:
            words += ["--audit-every", f"{audit_every // dt.timedelta(minutes=1)}m"]
        start_in_background(state, words, console=answers)
        return
    route = ROUTES[index_from]
    mappings = event_source_mappings(
        forwards=route == "KinesisDataStreamsForDynamoDB", replicates=replicates
    )
    by_itself, of_pictures = audits(audit_every), pictures(trouble=picture_trouble)
    up(
        state,
        servers=servers(
            user_cache_path("lockstep"),
            progress_on(answers),
            host,
            limits=limits,
            replicates=replicates,
        ),
        prepare=lambda stack: prepare(
            stack,
            Clients(stack),
            shards=shards,
            makes_table=table is None,
            tell=lambda said: answers.print(printable(said)),
        ),
        consumers=lambda folder: [
            *mappings(folder),
            *search_api(host)(folder),
            *by_itself(folder),
            *of_pictures(folder),
        ],
        console=answers,
        fresh=fresh,
        names=ResourceNames(
            index_from=route,
            index_shards=index_shards,
            search_facets=facets,
            page=page,
            **({"table": table} if table else {}),
        ),
    )


def start_in_background(
    state: Path, words: Sequence[str] = (), *, console: Console, dies_with_us: bool = False
) -> Stack:
    """Start a local stack in another process, as `lockstep up` with these words.

    Returns when the stack is ready.
    """
    # Download in this process, which can show the progress.
    install(kits().values(), user_cache_path("lockstep"), progress_on(notes))
    command = [sys.executable, "-P", "-m", "lockstep", "up", "--state", str(state), *words]
    return detach(state, dying_with_parent(command) if dies_with_us else command, console=console)


@click.command("down", epilog=examples("lockstep down"))
@state_option
def down_command(state: Path) -> None:
    """Stop the local stack; its data stays."""
    ended = down(state)
    answers.print("stopped" if ended is Ended.STOPPED else f"nothing runs in {state}")
