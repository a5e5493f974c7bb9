"""A local stack for each night, in a folder where a person types commands."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from lockstep.stack.clients import Clients
from lockstep.stack.stack import read_local
from tests.flow.shell import Shell, first_lines
from tests.nights.happenings import Night

IMAGES = 2_000


@pytest.fixture(scope="session")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The state of a stopped stack with 2,000 real images, equal in both stores."""
    shell = Shell(tmp_path_factory.mktemp("stored") / ".lockstep")
    shell.run("up", "--detach", "--shards", "1")
    shell.run("put", "-", "--from", "tate", stdin=first_lines(IMAGES))
    shell.run("status", "--wait", "120")
    shell.run("down")
    return shell.state


@pytest.fixture
def night(stored: Path, tmp_path: Path) -> Iterator[Night]:
    """A running stack with a copy of that state."""
    shell = Shell(shutil.copytree(stored, tmp_path / ".lockstep"))
    shell.run("up", "--detach")
    shell.run("status", "--wait", "120")
    yield Night(tmp_path, shell, Clients(read_local(shell.state)))
    shell.run("down")
