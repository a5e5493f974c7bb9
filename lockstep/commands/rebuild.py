"""`lockstep rebuild`: a new index from the table, then the switch."""

import sys
from pathlib import Path

import click

from lockstep.commands.audit import ROWS, show_audit
from lockstep.commands.endings import INTERRUPTED
from lockstep.commands.options import (
    at_most_option,
    connected,
    json_option,
    rate_option,
    stack_options,
)
from lockstep.commands.progress import counting
from lockstep.console.terminal import answers, notes, print_json, print_table
from lockstep.console.text import printable
from lockstep.rebuild.rebuild import Options, Plan, Rebuild, Rebuilt
from lockstep.stack.stack import FUNCTION_TIMEOUT
from lockstep.stack.use_cases.rebuild import rebuild as prepare

PATIENCE_SECONDS = 600.0


@click.command("rebuild")
@stack_options
@json_option
@click.option("--apply", "applies", is_flag=True, help="Do it; else only say what would be done.")
@click.option("--drop-old", is_flag=True, help="Delete the old index, if all is equal at the end.")
@click.option("--abandon", is_flag=True, help="Delete a new index that was begun and never read.")
@click.option(
    "--from-export",
    "export",
    metavar="S3-URI",
    help="Fill it from an export of the table: s3://BUCKET/PREFIX/AWSDynamoDB/ID.",
)
@rate_option
@at_most_option("Do not switch if readers would find so much less.")
@click.option(
    "--settle",
    type=click.FloatRange(min=0),
    metavar="SECONDS",
    default=FUNCTION_TIMEOUT.total_seconds(),
    show_default=True,
    help="The functions' timeout: so long the old index may still be written.",
)
@click.option(
    "--wait",
    type=click.FloatRange(min=0),
    metavar="SECONDS",
    default=PATIENCE_SECONDS,
    show_default=True,
    help="Wait so long for a consumer that is behind the switch.",
)
def rebuild_command(
    name: str | None,
    state: Path,
    *,
    applies: bool,
    drop_old: bool,
    abandon: bool,
    export: str | None,
    rate: float | None,
    at_most: float,
    settle: float,
    wait: float,
    as_json: bool,
) -> None:
    """Build a new index and switch readers to it.

    It has this release's mapping. Nobody has to stop. Interrupted, it goes on where it was. Exit
    code as of the audit at the end.
    """
    if abandon and drop_old:
        raise click.UsageError("--abandon or --drop-old, one at a time")
    rebuild = prepare(connected(name, state), rate=rate, export=export)
    if abandon:
        show_abandoned(rebuild, applies=applies, as_json=as_json)
        return
    if not applies:
        plan = rebuild.plan()
        if as_json:
            print_json(plan)
        else:
            show_plan(plan, drops=drop_old)
        return
    options = Options(at_most=at_most, settle=settle, patience=wait, drop_old=drop_old)
    done = rebuilt(rebuild, options)
    if as_json:
        print_json(done)
    else:
        show_rebuilt(done)
    sys.exit(done.exit_code)


def rebuilt(rebuild: Rebuild, options: Options) -> Rebuilt:
    """A whole rebuild, with its progress on a terminal, step by step."""
    with counting("{task.description}") as progress:
        task = progress.add_task("rebuild", total=None)
        at = ""

        def tell(step: str, count: int, total: int | None) -> None:
            nonlocal at
            if step != at:
                at = step
                progress.reset(task, description=step, total=total)
            progress.update(task, completed=count)

        try:
            return rebuild.run(options, tell)
        except KeyboardInterrupt:
            notes.print("interrupted: the same command goes on where it was")
            sys.exit(INTERRUPTED)


def show_plan(plan: Plan, *, drops: bool) -> None:
    """What would be done, as a person reads it."""
    print_table(
        ["store", " entries"], [["table", f"{plan.table:,}"], [plan.live, f"{plan.documents:,}"]]
    )
    for difference in plan.differences[:ROWS]:
        answers.print(printable(f"not of this release: {difference}"))
    if len(plan.differences) > ROWS:
        answers.print(f"not of this release: {len(plan.differences) - ROWS:,} more")
    answers.print(_STAGES[plan.stage].format(index=plan.index, old=plan.replaces))
    if drops:
        answers.print(f"{plan.replaces}, and any kept before it, would be deleted if all is equal")
    else:
        answers.print(f"{plan.replaces} would be kept (`--drop-old` deletes it)")
    match plan.worker_is:
        case "at_work":
            answers.print(f"{plan.worker} is at it: let it end, or end it before `--apply`")
        case "unknown":
            answers.print(f"{plan.worker} may be at it: `--apply` watches for that first")
        case _:
            answers.print("`--apply` does it")


_STAGES = {
    "begin": "{index} would be filled, and read in place of {old}",
    "go_on": "{index} is half filled: it would be gone on with, and read in place of {old}",
    "finish": "{index} is read since a rebuild was interrupted: {old} would be gone through again",
    "repeat": "{index} has replaced {old}, which would be gone through again",
}


def show_rebuilt(done: Rebuilt) -> None:
    """A rebuild as a person reads it."""
    for one in done.told[:ROWS]:
        answers.print(printable(f"could not be carried: {one.image_id}: {one.detail}"))
    if len(done.told) > ROWS:
        answers.print(f"could not be carried: {len(done.told) - ROWS:,} more (`--json` shows all)")
    if done.left:
        answers.print(f"left behind, since the table has forgotten them: {done.left:,}")
    answers.print(
        f"{done.index} is read and written; carried over: {done.carried['table']:,} from the "
        f"table, {done.carried['index']:,} from {done.replaced} ({done.seconds:.1f} s)"
    )
    show_audit(done.audit)
    for index in done.dropped:
        answers.print(f"{index} is deleted")
    for index in done.kept:
        answers.print(f"{index} is kept: `lockstep rebuild --drop-old --apply` deletes it")


def show_abandoned(rebuild: Rebuild, *, applies: bool, as_json: bool) -> None:
    """What was begun and is, or would be, deleted."""
    indices = rebuild.abandon(apply=applies)
    if as_json:
        print_json({"abandoned": indices, "applied": applies})
        return
    for index in indices:
        answers.print(f"{index} {'is deleted' if applies else 'would be deleted'}")
    if not indices:
        answers.print("nothing was begun")
    elif not applies:
        answers.print("`--apply` does it")
