"""What the tool imports before it does something: only what the command uses."""

import subprocess
import sys
from pathlib import Path

import pytest

from lockstep.cli import COMMANDS

PROGRAM = """
import sys
from lockstep.cli import main
try:
    main(sys.argv[1:])
except SystemExit:
    pass
standard = {"__main__", *sys.stdlib_module_names}
print("loaded:", *(name for name in sys.modules if name.partition(".")[0] not in standard))
"""
# Each is slow to import, and these helps need none.
SLOW = {
    *("aiohttp", "boto3", "botocore", "jinja2", "opensearchpy", "requests", "samtranslator"),
    *("starlette", "tablestore", "urllib3", "uvicorn"),
}


def loaded(*words: str | Path) -> set[str]:
    """The modules of others and of ours that a command loads."""
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM, *words], capture_output=True, text=True, check=True
    )
    return set(run.stdout.rpartition("loaded: ")[2].split())


def test_the_help_of_the_tool_imports_click_and_five_modules() -> None:
    found = loaded("--help")
    assert {name.partition(".")[0] for name in found} == {"click", "lockstep", "shared"}
    assert {name for name in found if name.startswith(("lockstep", "shared"))} == {
        *("lockstep", "lockstep.cli", "lockstep.commands", "lockstep.commands.endings"),
        *("lockstep.console", "lockstep.console.text", "shared", "shared.shortened"),
    }


@pytest.mark.parametrize("command", ["search", "status"])
def test_the_help_of_a_command_imports_no_client_of_a_store(command: str) -> None:
    tops = {name.partition(".")[0] for name in loaded(command, "--help")}
    assert tops.isdisjoint(SLOW)


def test_a_search_in_a_local_stack_imports_neither_boto3_nor_a_server(state: Path) -> None:
    found = loaded("search", "chapel", "--state", state)
    assert "opensearchpy" in found
    assert found.isdisjoint({"boto3", "starlette", "uvicorn", "lockstep.page.proxy"})


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_of_no_command_imports_boto3(command: str) -> None:
    found = loaded(command, "--help")
    assert found.isdisjoint({"boto3", "botocore.session", "botocore.client"})
