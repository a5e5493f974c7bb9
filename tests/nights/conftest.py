"""One local stack for all nights, in a folder where a person types commands."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lockstep.stack.stack import read_local
from tests.flow.shell import Shell, first_lines
from tests.nights.first_state import FirstState, PatientClients
from tests.nights.happenings import PATIENCE, Night

IMAGES = 2_000


class Stage:
    """A stack that runs, and what both of its stores held at first: the same 2,000 images."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.shell = Shell(folder / ".lockstep")
        self.shell.run("up", "--detach", "--shards", "1")
        self.shell.run("put", "-", "--from", "tate", stdin=first_lines(IMAGES))
        self.shell.run("status", "--wait", PATIENCE)
        self._clients = PatientClients(read_local(self.shell.state))
        self._first = FirstState(self._clients)
        self.night = Night(folder, self.shell, self._clients)

    def begin(self) -> None:
        """Begin another night: nothing remains of the last one but the records on the stream."""
        self.night = Night(self._folder, self.shell, self._clients)
        for file in self._folder.glob("*.ndjson"):
            file.unlink()
        self._first.restore()


@pytest.fixture(scope="session")
def next_night(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], Night]]:
    """Begins a night. It has a new stack if the night before did not end as the guide says."""
    stages: list[Stage] = []

    def begin() -> Night:
        if stages and stages[-1].night.is_over:
            stages[-1].begin()
        else:
            for failed in stages[-1:]:
                failed.shell.run("down")
            stages.append(Stage(tmp_path_factory.mktemp("stack")))
        return stages[-1].night

    yield begin
    for last in stages[-1:]:
        last.shell.run("down")


@pytest.fixture
def night(next_night: Callable[[], Night]) -> Night:
    """A running stack with 2,000 images, equal in both stores."""
    return next_night()
