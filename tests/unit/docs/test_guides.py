"""Each command in the documents parses, and each command of the tool is documented."""

import contextlib
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from lockstep.cli import main
from tests.unit.operator.command import commands_of

ROOT = Path(__file__).parents[3]
GUIDES = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("**/*.md")]
# Blocks, indented lines and spans of code.
CODE = re.compile(r"^```.*?^```|^    .*?$|`[^`\n]+`", re.DOTALL | re.MULTILINE)
COMMAND = re.compile(r"(?:^|[\s(&|;`])lockstep ((?:(?:\"[^\"]*\"|'[^']*'|[^\s`#|;&<>)])+ ?)+)")
# A word that stands for another.
PLACEHOLDER = re.compile(r"[A-Z|.…\[\]]+")


def typed(code: str) -> str:
    """What is not printed: of a console, the lines after `$ `, and the commands that it quotes."""
    if not code.startswith("```console"):
        return code.strip("`")
    lines = code.splitlines()
    return "\n".join(
        line if line.startswith("$ ") else " ".join(re.findall("`[^`]+`", line)) for line in lines
    )


def commands() -> Iterator[tuple[Path, list[str]]]:
    for guide in GUIDES:
        for code in CODE.findall(guide.read_text()):
            for line in COMMAND.findall(typed(code)):
                yield guide, shlex.split(line)


def parse(words: list[str]) -> None:
    """Take the words as click does, but for the values of options, which prose may leave out."""
    group: click.Command = main
    context = click.Context(group)
    while isinstance(group, click.Group):
        name, *words = words
        commands = commands_of(group)
        assert name in commands, f"no command {name}"
        group = commands[name]
        context = click.Context(group, info_name=name, parent=context)
    with contextlib.suppress(click.BadOptionUsage):
        group.make_parser(context).parse_args(list(words))


def test_every_command_in_the_documents_parses_and_every_command_is_documented() -> None:
    found = [(guide, words) for guide, words in commands() if not PLACEHOLDER.fullmatch(words[0])]
    for guide, words in found:
        try:
            parse(words)
        except (click.NoSuchOption, AssertionError) as error:
            pytest.fail(f"{guide.name}: lockstep {' '.join(words)}: {error}")
    shelves = (ROOT / "docs" / "guides", ROOT / "docs" / "internals")
    documented = {words[0] for guide, words in found if guide.parent in shelves}
    assert commands_of(main).keys() == documented


def test_every_target_of_make_in_the_documents_is_one() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {
        (guide.name, target)
        for guide in GUIDES
        for code in CODE.findall(guide.read_text())
        for target in re.findall(r"(?:^|[\s`])make ([a-z-]+)", code)
    }
    assert {(guide, target) for guide, target in named if target not in targets} == set()
    assert len(named) > 20


def test_no_row_of_a_table_is_joined_with_the_next_one() -> None:
    """Whoever wraps a table that is indented gets one long sentence with bars."""
    joined = re.compile(r"\|\s\|\s*:?---")
    wrong = [
        f"{guide.relative_to(ROOT)}:{number}"
        for guide in GUIDES
        for number, line in enumerate(guide.read_text().splitlines(), 1)
        if joined.search(line)
    ]
    assert wrong == []
