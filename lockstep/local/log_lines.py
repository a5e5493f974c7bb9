"""The line of a program's log that says why it ended."""

import re
from pathlib import Path

from lockstep.console.text import printable
from shared.shortened import shortened

# A program that dies while it starts has written little. What is before is of an earlier start.
_READ_BYTES = 256 * 1024
# Java names the root cause of an exception last.
_ROOT_CAUSE = re.compile(r"^Caused by: ")
# What people can do something about, wherever it is in a chain of causes.
_MACHINE = re.compile(
    r"No space left on device|Address already in use|Permission denied|insufficient memory"
    r"|Could not (allocate|reserve) "
)
_TELLS = re.compile(
    r"Exception|Error\b|ERROR|FATAL|\berror[:=]|[Nn]o space|[Ii]nsufficient memory|[Cc]annot "
)
# Where in a program something happened, not what.
_PLACE = re.compile(r"^\s+(at |\.\.\. |File )|^\s*\^+\s*$")
_LONGEST = 300


def telling_line(log: Path, since: int, *, ended: bool = True) -> str | None:
    """The line that says best why a program ended, or how far it is; None if it wrote nothing.

    Args:
        log: its log.
        since: where in the log its lines begin, in bytes.
        ended: whether it has ended. The warnings of one that still starts explain nothing.
    """
    try:
        with log.open("rb") as file:
            file.seek(since)
            text = file.read(_READ_BYTES).decode(errors="replace")
    except OSError:
        return None
    lines = [line for line in text.splitlines() if line.strip() and not _PLACE.match(line)]
    if not lines:
        return None
    machine = [line for line in lines if _MACHINE.search(line)]
    causes = [line for line in lines if _ROOT_CAUSE.match(line)]
    tells = [line for line in lines if _TELLS.search(line)]
    found = [*causes[-1:], *tells[-1:]] if ended else []
    best = [*machine[-1:], *found, lines[-1]][0]
    return printable(shortened(best.strip(), _LONGEST))
