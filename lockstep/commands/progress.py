"""Progress bars, on a terminal only."""

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from lockstep.console.terminal import notes


class TaskRateColumn(ProgressColumn):
    """The rate, in items per second."""

    def render(self, task: Task) -> Text:
        """Format the rate."""
        return Text("" if task.speed is None else f"{task.speed:,.0f}/s")


def counting(text: str) -> Progress:
    """A progress bar for each task, removed at the end.

    Args:
        text: text before the bar; may name fields of the task, as rich does; no markup.
    """
    return Progress(
        TextColumn(text, markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TaskRateColumn(),
        TimeRemainingColumn(),
        console=notes,
        transient=True,
        disable=not notes.is_terminal,
    )
