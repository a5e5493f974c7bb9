"""The options of `lockstep up` for the search page."""

from typing import Any

import click
import pytest
from click.testing import CliRunner

from functions.search_images.page_settings import PageSettings
from lockstep.commands.page_options import page_options, words
from lockstep.commands.up import up_command
from lockstep.local.mapping.intrinsics import Resolver
from lockstep.stack.sam import env_vars
from lockstep.stack.stack import Endpoints, Stack


@click.command()
@page_options
def settings(**given: Any) -> None:
    """Print the words for the same settings."""
    its = PageSettings(
        given["page_title"], given["page_accent"], given["page_logo"], given["picture_hosts"]
    )
    click.echo("\n".join(words(its)))


def test_a_stack_in_the_background_gets_the_same_page() -> None:
    given = [
        *("--page-title", "Museum of Ships"),
        *("--page-accent", "#7a1f2b,#f0a0aa"),
        *("--page-logo", "https://museum.example/logo.svg"),
        *("--picture-host", "a.example"),
        *("--picture-host", "*.b.example"),
    ]
    once = CliRunner().invoke(settings, given)
    assert once.output.splitlines() == given
    assert CliRunner().invoke(settings, once.output.splitlines()).output == once.output
    assert CliRunner().invoke(settings, []).output.strip() == ""


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--page-accent", "#ffcc00"], "choose a darker colour"),
        (["--page-title", "x" * 61], "expected 1 to 60 characters"),
        (["--page-logo", "logo.svg"], "expected an address such as"),
        (["--picture-host", "https://a.example/"], "expected host names such as"),
    ],
)
def test_a_mistake_is_refused_before_anything_starts(words: list[str], said: str) -> None:
    result = CliRunner().invoke(up_command, words)
    assert result.exit_code == 2
    (line,) = [line for line in result.output.splitlines() if line.startswith("Error")]
    assert words[0] in line
    assert said in line


def test_the_function_of_a_local_stack_gets_the_page_of_the_stack() -> None:
    page = {"title": "Museum", "picture_hosts": "a.example"}
    stack = Stack(
        endpoints=Endpoints("", "", "", ""),
        stream="s",
        table="t",
        index="i",
        bucket="b",
        region="r",
        functions={},
        page=page,
    )
    names = ("PageTitle", "PageAccent", "PageLogo", "PictureHosts")
    template = {"Resources": {}, "Parameters": {name: {"Default": ""} for name in names}}
    resolver = Resolver(template, stack)
    assert [resolver.value({"Ref": name}, name) for name in names] == [
        "Museum",
        "",
        "",
        "a.example",
    ]
    given = env_vars(stack)["SearchImages"]
    assert (given["PAGE_TITLE"], given["PICTURE_HOSTS"]) == ("Museum", "a.example")
    assert "PAGE_LOGO" not in given
