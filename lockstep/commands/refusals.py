"""Rejected lines: the first ones are printed at once, `--json` lists all."""

from lockstep.console.terminal import notes
from lockstep.console.text import printable
from lockstep.producing.backfill import RefusedLine
from lockstep.producing.sources import BadLine

# Nobody reads more than this.
SHOWN = 20


class Refusals[Line: (BadLine, RefusedLine)]:
    """Counts rejected lines; `listed` holds them all for `--json`."""

    def __init__(self, *, lists: bool) -> None:
        self.count = 0
        self.listed: list[Line] = []
        self._lists = lists

    def add(self, where: str, line: Line) -> None:
        """Add a line.

        Args:
            where: the file and the line number.
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
            notes.print(f"and {self.count - SHOWN:,} more lines (`--json` lists all)")
