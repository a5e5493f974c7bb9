"""What the recordings show: commands, and what must be there before them."""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from lockstep.stack.stack import STATE, read_local
from tools.recordings.recorder import Recording, record

ROOT = Path(__file__).parents[2]
RECORDINGS = ROOT / "docs" / "recordings"


class Scene(msgspec.Struct, frozen=True):
    """One recording.

    `before` is run first and not recorded. If it is not empty, it starts a local stack, whose
    index is `$INDEX` in the commands.
    """

    title: str
    height: int
    commands: Sequence[str]
    before: Sequence[Sequence[str]] = ()

    def play(self) -> Recording:
        """Type the commands in a folder of their own.

        Raises:
            subprocess.CalledProcessError: a command of `before` fails, or one is killed.
        """
        with _folder() as folder:
            try:
                for words in self.before:
                    _lockstep(folder, *words)
                variables = _variables(folder) if self.before else {}
                return record(
                    self.title, self.commands, folder=folder, height=self.height, env=variables
                )
            finally:
                if self.before:
                    _lockstep(folder, "down")


SCENES: Mapping[str, Scene] = {
    "demo": Scene("lockstep demo", 23, ["lockstep demo"]),
    "repair": Scene(
        "lockstep audit finds what was deleted by hand, and repairs it",
        42,
        [
            "# Somebody deletes documents from the index, past the stream.",
            'curl -s -o /dev/null -X DELETE "$INDEX/_doc/D10600"',
            'curl -s -o /dev/null -X DELETE "$INDEX/_doc/D05526"',
            "sleep 1  # until searches see it",
            "lockstep search richmond bridge",
            "lockstep audit",
            "lockstep audit --repair --apply",
            "lockstep search richmond bridge",
        ],
        [
            ["up", "--detach"],
            ["put", "--from", "tate", "data/tate-2000.ndjson"],
            ["status", "--wait", "300"],
        ],
    ),
}


@contextmanager
def _folder() -> Iterator[Path]:
    """A folder that looks like a clone: the local stack is in its usual place."""
    folder = Path(tempfile.mkdtemp(prefix="lockstep-recording-"))
    (folder / "data").symlink_to(ROOT / "data")
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def _variables(folder: Path) -> Mapping[str, str]:
    stack = read_local(folder / STATE)
    return {"INDEX": f"{stack.endpoints.opensearch}/{stack.index}"}


def _lockstep(folder: Path, *words: str) -> None:
    command = [sys.executable, "-m", "lockstep", *words]
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
