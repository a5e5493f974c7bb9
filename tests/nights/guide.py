"""Reads a guide, and does what it says: runs its commands, and compares what they print.

In a block that begins with "```console", a line that begins with `$ ` is a command, and the lines
below it are its output. A comment `<!-- happens: NAME -->` says what happens before the next
command. Values that differ in each run (times, durations, IDs) are placeholders: if the guide
repeats such a value in a command, the run's own value takes its place. An output line `...` stands
for any lines.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

SECONDS = 600
COLUMNS = 80
ANY_LINES = "..."

# What differs in each run. The order matters: a longer form comes before a form that it contains.
_VARYING = re.compile(
    r"(?P<time>\d{4}-\d\d-\d\dT\d\d:?\d\d:?\d\d(?:\.\d+)?(?:Z|\+00:00)?)"
    r"|(?P<replay>\b\d{8}-\d{6}-\d{3}\b)"
    r"|(?P<stamp>\b\d{16}\b)"
    r"|(?P<duration>\d[\d,]*(?:\.\d+)? s\b)"
    r"|(?P<rate>\d[\d,]* a second)"
    r"|(?P<id>\b[0-9a-f]{10}\b)"
)
_BASH = shutil.which("bash") or "bash"


@dataclass(frozen=True)
class Happening:
    """Something that happens to the stack, by its name."""

    name: str


@dataclass(frozen=True)
class Typed:
    """A command that a person types, and what it prints."""

    line: int
    command: str
    output: Sequence[str]


type Step = Happening | Typed


def read_guide(path: Path) -> Mapping[str, Sequence[Step]]:
    """The steps of each section (`## TITLE`) that has any."""
    sections: dict[str, list[Step]] = {}
    title, in_console = "", False
    command: tuple[int, str] | None = None
    output: list[str] = []

    def end_command() -> None:
        nonlocal command
        if command is not None:
            sections.setdefault(title, []).append(Typed(*command, tuple(output)))
        command = None
        output.clear()

    for number, line in enumerate(path.read_text().splitlines(), start=1):
        if line.startswith("```"):
            end_command()
            in_console = line == "```console"
        elif in_console and line.startswith("$ "):
            end_command()
            command = number, line.removeprefix("$ ")
        elif in_console and command is not None and command[1].endswith("\\"):
            command = command[0], f"{command[1]}\n{line}"
        elif in_console:
            output.append(line)
        elif line.startswith("## "):
            title = line.removeprefix("## ")
        elif happens := re.fullmatch(r"<!-- happens: (\w+) -->", line):
            sections.setdefault(title, []).append(Happening(happens[1]))
    return sections


def _outside_make() -> dict[str, str]:
    """The variables of this process without those of `make`, which may have started the tests.

    With them, a `make` that is typed would be a part of that one, and print so.
    """
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("MAKE") and name != "MFLAGS"
    }


@dataclass
class Player:
    """Does what a section says, in one folder."""

    folder: Path
    happenings: Mapping[str, Callable[[], None]]
    environment: Mapping[str, str] = field(default_factory=dict)
    """Variables that the commands see, besides those of this process."""
    names: Mapping[str, str] = field(default_factory=dict)
    """What the guide's words in capital letters stand for, in commands and in what they print."""
    typed: str = ""
    """What the person types when a command asks."""
    accepts: bool = False
    """Whether to collect what the commands print, instead of comparing it."""
    printed: dict[int, list[str]] = field(default_factory=dict)
    """Each command as it was run, and what it printed, by its line in the guide."""
    _values: dict[str, str] = field(default_factory=dict)
    """The value of this run, by the guide's value."""
    _latest: dict[str | None, str] = field(default_factory=dict)
    """The value of each kind that was printed last."""
    _exit_code: int = 0

    def play(self, steps: Sequence[Step]) -> None:
        """Do all steps.

        Raises:
            AssertionError: a command prints something else.
        """
        for step in steps:
            match step:
                case Happening(name):
                    self.happenings[name]()
                case Typed():
                    self._run(step)

    def _run(self, step: Typed) -> None:
        if step.command.startswith("cd "):
            self.folder /= step.command.removeprefix("cd ")
            return
        command = _VARYING.sub(self._value, step.command)
        for name, value in self.names.items():
            command = re.sub(rf"\b{name}\b", value, command)
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        done = subprocess.run(
            [_BASH, "-c", f"(exit {self._exit_code}); {command}"],
            cwd=self.folder,
            env={**_outside_make(), "PATH": path, "COLUMNS": str(COLUMNS), **self.environment},
            input=self.typed,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=SECONDS,
            check=False,
            text=True,
        )
        self._exit_code = done.returncode
        printed = [self._named(line.rstrip()) for line in done.stdout.splitlines()]
        has_gaps = ANY_LINES in step.output
        if not has_gaps:
            self.printed[step.line] = [f"$ {self._named(command)}", *printed]
        self._latest |= {one.lastgroup: one[0] for one in _VARYING.finditer(done.stdout)}
        actual = _squeezed(printed)
        expected = _squeezed(step.output)
        if not self.accepts:
            where = f"line {step.line} of the guide: {command}\n{done.stdout}"
            plain = [_without_values(line) for line in expected]
            same = [_without_values(line) for line in actual]
            if has_gaps:
                assert _fits(same, plain), where
            else:
                assert same == plain, where
        if has_gaps:
            return
        for line, there in zip(expected, actual, strict=not self.accepts):
            if _without_values(line) == _without_values(there):
                self._values.update(_values_in(line, there))

    def _named(self, line: str) -> str:
        """A printed line with the words of the guide."""
        for name, value in self.names.items():
            line = line.replace(value, name)
        return line

    def _value(self, guides: re.Match[str]) -> str:
        """The value of this run for a value in a command of the guide."""
        if self.accepts:
            self._values.setdefault(guides[0], self._latest.get(guides.lastgroup, guides[0]))
        return self._values.get(guides[0], guides[0])


def rewrite(path: Path, printed: Mapping[int, Sequence[str]]) -> None:
    """Write commands and what they printed into a guide, by the lines of the commands."""
    lines: list[str] = []
    of_command = False
    for number, line in enumerate(path.read_text().splitlines(), start=1):
        if number in printed:
            lines += printed[number]
            of_command = True
            continue
        if line.startswith(("```", "$ ")):
            of_command = False
        if not of_command:
            lines.append(line)
    path.write_text("\n".join(lines) + "\n")


def _squeezed(lines: Sequence[str]) -> list[str]:
    """Lines with single spaces, because the width of a column depends on the durations in it."""
    return [" ".join(line.split()) for line in lines if line.strip()]


def _fits(lines: Sequence[str], expected: Sequence[str]) -> bool:
    """Whether these are the expected lines, of which some stand for any lines."""
    wanted = "".join("(?:.*\n)*" if one == ANY_LINES else re.escape(one) + "\n" for one in expected)
    return re.fullmatch(wanted, "".join(f"{one}\n" for one in lines)) is not None


def _without_values(line: str) -> str:
    return _VARYING.sub(lambda found: f"<{found.lastgroup}>", line)


def _values_in(expected: str, actual: str) -> Iterator[tuple[str, str]]:
    pairs = zip(_VARYING.finditer(expected), _VARYING.finditer(actual), strict=True)
    return ((one[0], other[0]) for one, other in pairs if one.lastgroup not in {"duration", "rate"})
