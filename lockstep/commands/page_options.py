"""The options of `lockstep up` that set up the search page."""

from collections.abc import Callable, Mapping
from typing import Any

import click
import msgspec

from functions.search_images.page_settings import CHECKS, PageSettings

# By its name in `PageSettings`: its option.
_OPTIONS: Mapping[str, str] = {
    "title": "--page-title",
    "accent": "--page-accent",
    "logo": "--page-logo",
    "picture_hosts": "--picture-host",
}


def page_options[F: Callable[..., Any]](command: F) -> F:
    """The options of the page: `page_title`, `page_accent`, `page_logo` and `picture_hosts`."""
    made = command
    for option in (
        click.option(
            "--picture-host",
            "picture_hosts",
            multiple=True,
            callback=_checked,
            metavar="HOST",
            help="Show pictures of this host on the search page, for example images.example.org or "
            "*.example.org. May be repeated. Without it, the page shows no picture.",
        ),
        click.option(
            "--page-logo",
            callback=_checked,
            metavar="URL",
            help="Show this picture beside the title of the search page; an https address.",
        ),
        click.option(
            "--page-accent",
            callback=_checked,
            metavar="COLOUR",
            help="Colour of links and buttons of the search page, such as #7a1f2b. With a second "
            "one for dark screens: #7a1f2b,#f0a0aa.",
        ),
        click.option(
            "--page-title",
            callback=_checked,
            metavar="TITLE",
            help="Title of the search page, for example the name of your institution.",
        ),
    ):
        made = option(made)
    return made


def words(settings: PageSettings) -> list[str]:
    """The settings as options of a command line."""
    return [
        word
        for field, value in msgspec.structs.asdict(settings).items()
        if value
        for one in (value.split(",") if field == "picture_hosts" else [value])
        for word in (_OPTIONS[field], one)
    ]


def _checked(_: click.Context, option: click.Parameter, given: Any) -> str:
    name = str(option.name).removeprefix("page_")
    text = ",".join(given) if isinstance(given, tuple) else given or ""
    try:
        return CHECKS[name](text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None
