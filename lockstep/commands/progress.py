"""Progress: how many so far, on a terminal; elsewhere nothing."""

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
    """How many a second."""

    def render(self, task: Task) -> Text:
        """How it is shown."""
        return Text("" if task.speed is None else f"{task.speed:,.0f}/s")


def counting(text: str, *timing: ProgressColumn) -> Progress:
    """A bar with numbers for each task, gone when it is done.

    Args:
        text: before the bar; may name the task's fields, as rich does, and is no markup.
        timing: behind it; rate and time left, if not said.
    """
    return Progress(
        TextColumn(text, markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        *(timing or (TaskRateColumn(), TimeRemainingColumn())),
        console=notes,
        transient=True,
        disable=not notes.is_terminal,
    )
