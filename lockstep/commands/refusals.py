"""Rejected lines: the first ones are printed at once, `--json` lists all."""

from typing import Protocol

from lockstep.console.terminal import notes
from lockstep.console.text import printable


class Rejected(Protocol):
    """What is rejected, and why."""

    @property
    def reason(self) -> str:
        """The reason, in one word."""
        ...

    @property
    def detail(self) -> str:
        """What is wrong."""
        ...


# Nobody reads more than this.
SHOWN = 20


class Refusals[Line: Rejected]:
    """Counts rejected lines; `listed` holds them all for `--json`."""

    def __init__(self, *, lists: bool, of: str = "line") -> None:
        """Count what is called `of`; `lists`: hold them all."""
        self.count = 0
        self.listed: list[Line] = []
        self._lists = lists
        self._of = of

    def add(self, where: str, line: Line) -> None:
        """Add a line.

        Args:
            where: the file and the line number, or what names the item.
            line: what is wrong with it.
        """
        self.count += 1
        if self.count <= SHOWN:
            notes.print(f"{where}: {line.reason}: {printable(line.detail)}")
        if self._lists:
            self.listed.append(line)

    def end(self) -> None:
        """Say how many lines were not printed."""
        if self.count > SHOWN:
            notes.print(f"and {self.count - SHOWN:,} more {self._of}s (`--json` lists all)")
