"""The lines that come to nothing: a person reads the first ones at once, a program gets all."""

from lockstep.console.terminal import notes
from lockstep.console.text import printable
from lockstep.producing.backfill import Refused
from lockstep.producing.sources import BadLine

# More than this nobody reads.
SHOWN = 20


class Refusals[Line: (BadLine, Refused)]:
    """Counts them; `listed` holds all of them if a program wants to know."""

    def __init__(self, *, lists: bool) -> None:
        self.count = 0
        self.listed: list[Line] = []
        self._lists = lists

    def add(self, where: str, line: Line) -> None:
        """One more, at this place."""
        self.count += 1
        if self.count <= SHOWN:
            notes.print(f"{where}: {line.reason}: {printable(line.detail)}")
        if self._lists:
            self.listed.append(line)

    def end(self) -> None:
        """There are no more of them."""
        if self.count > SHOWN:
            notes.print(f"and {self.count - SHOWN:,} lines more (`--json` lists all)")
