"""`lockstep rebuild`: build a new index from the table and switch to it."""

import sys
from collections.abc import Sequence
from pathlib import Path

import click
import msgspec

from lockstep.commands.audit import ROWS, show_audit
from lockstep.commands.chosen_stack import applies, changed_stack_options, connected
from lockstep.commands.endings import INTERRUPTED
from lockstep.commands.options import (
    APPLY_HINT,
    NumberRange,
    apply_option,
    at_most_option,
    examples,
    json_option,
    rate_option,
)
from lockstep.commands.progress import counting
from lockstep.console.terminal import answers, notes, print_json, print_table
from lockstep.console.text import counted, printable
from lockstep.rebuild.parts import RebuildOptions
from lockstep.rebuild.rebuild import Rebuild, RebuildPlan, Rebuilt
from lockstep.stack.stack import FUNCTION_TIMEOUT, command_for
from lockstep.stack.use_cases.rebuild import rebuild as prepare
from shared.shortened import shortened

PATIENCE_SECONDS = 600.0
# Most characters of a difference: a setting can be a long pattern. `--json` has it whole.
_DIFFERENCE = 160


@click.command(
    "rebuild",
    epilog=examples(
        "lockstep rebuild",
        "lockstep rebuild --apply --drop-old",
        "lockstep rebuild --stack lockstep --apply --rate 500",
    ),
)
@changed_stack_options(when=applies)
@json_option
@apply_option
@click.option(
    "--drop-old",
    is_flag=True,
    help="Delete the old index if both stores are equal at the end.",
)
@click.option(
    "--before-deploying",
    is_flag=True,
    help="Build the index although another release is deployed; deploy this one next.",
)
@click.option("--abandon", is_flag=True, help="Delete an unfinished new index.")
@click.option(
    "--from-export",
    "export",
    metavar="S3-URI",
    help="Fill the new index from an export: s3://BUCKET/PREFIX/AWSDynamoDB/ID.",
)
@rate_option
@at_most_option("Do not switch if searches would lose more than this share of the images.")
@click.option(
    "--settle",
    type=NumberRange(min=0),
    metavar="SECONDS",
    help="Copy from the old index this long after the switch. Default: the timeout of the "
    f"functions, {FUNCTION_TIMEOUT.total_seconds():.0f}; on this machine, until the writes that "
    "are in progress have ended.",
)
@click.option(
    "--wait",
    type=NumberRange(min=0),
    metavar="SECONDS",
    default=PATIENCE_SECONDS,
    show_default=True,
    help="Wait at most this long until the consumers have processed all events before the switch.",
)
def rebuild_command(
    name: str | None,
    state: Path,
    *,
    applies: bool,
    drop_old: bool,
    before_deploying: bool,
    abandon: bool,
    export: str | None,
    rate: float | None,
    at_most: float,
    settle: float | None,
    wait: float,
    as_json: bool,
) -> None:
    """Build a new index and switch to it.

    The new index has the index mapping of this release. Producers, consumers and searches
    continue. After an interruption, run the same command again.

    If only the aliases are wrong, --apply sets them and fills no index.

    Exit code 0: the final audit finds both stores equal; 1: different, or an image could not be
    copied; 2: unknown.
    """
    if abandon and drop_old:
        raise click.UsageError("use --abandon or --drop-old, not both")
    clients = connected(name, state)
    rebuild = prepare(clients, rate=rate, export=export)
    if abandon:
        show_abandoned(rebuild, applies=applies, as_json=as_json)
        return
    if not applies:
        plan = rebuild.plan()
        if as_json:
            print_json(plan, applied=False)
        else:
            show_plan(plan, drops=drop_old)
        return
    if settle is None and clients.stack.state is None:
        settle = FUNCTION_TIMEOUT.total_seconds()
    options = RebuildOptions(
        at_most=at_most,
        settle=settle,
        patience=wait,
        drop_old=drop_old,
        before_deploying=before_deploying,
    )
    done = rebuilt(rebuild, options)
    if as_json:
        print_json(done, applied=True)
    else:
        show_rebuilt(done, name, state)
    sys.exit(done.exit_code)


def rebuilt(rebuild: Rebuild, options: RebuildOptions) -> Rebuilt:
    """Run a rebuild and show the progress of each step on a terminal."""
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
            notes.print("interrupted: run the same command again to continue")
            sys.exit(INTERRUPTED)


def show_plan(plan: RebuildPlan, *, drops: bool) -> None:
    """Print what a rebuild would do."""
    rows = [["table", f"{plan.table:,}"]]
    if plan.live is not None:
        rows.append([plan.live, f"{plan.documents:,}"])
    print_table(["store", " entries"], rows)
    for problem in plan.problems:
        answers.print(printable(f"wrong: {problem}"))
    for difference in plan.differences[:ROWS]:
        answers.print(printable(f"index differs: {shortened(difference, _DIFFERENCE)}"))
    if len(plan.differences) > ROWS:
        answers.print(f"index differs: {len(plan.differences) - ROWS:,} more")
    for index in plan.ignored:
        answers.print(f"{index} is behind no alias: nothing would be copied from it")
    told = _STAGES if plan.replaces is not None else _STAGES_WITHOUT_OLD
    answers.print(told[plan.stage].format(index=plan.index, old=plan.replaces))
    if plan.replaces is None:
        pass
    elif drops:
        answers.print(f"{plan.replaces} and older ones would be deleted if both stores are equal")
    else:
        answers.print(f"{plan.replaces} would be kept (`--drop-old` deletes it)")
    if plan.refused:
        answers.print(f"refused: {plan.refused}")
    _show_next(plan)


def _show_next(plan: RebuildPlan) -> None:
    match plan.worker_is:
        case "at_work":
            answers.print(f"{plan.worker} is rebuilding: wait for it, or stop it, before --apply")
        case "unknown":
            answers.print(f"{plan.worker} may be rebuilding: --apply checks that first")
        case _:
            answers.print(APPLY_HINT)


_STAGES = {
    "begin": "{index} would be filled, and replace {old}",
    "go_on": "{index} is partly filled: it would be completed, and replace {old}",
    "finish": "the rebuild to {index} was interrupted at its end: {old} would be read again",
    "repeat": "{index} has replaced {old}: {old} would be read again",
}
_STAGES_WITHOUT_OLD = {
    "aliases": "both aliases would be set to {index}; nothing would be filled",
    "begin": "{index} would be filled from the table, and get both aliases",
    "go_on": "{index} is partly filled: it would be completed, and get both aliases",
    "finish": "the rebuild to {index} was interrupted at its end: the table would be read again",
}


def show_rebuilt(done: Rebuilt, name: str | None, state: Path) -> None:
    """Print a rebuild as text."""
    for one in done.not_copied[:ROWS]:
        answers.print(printable(f"not copied: {one.image_id}: {one.detail}"))
    if len(done.not_copied) > ROWS:
        answers.print(f"not copied: {len(done.not_copied) - ROWS:,} more (`--json` lists all)")
    for problem in done.corrected:
        answers.print(printable(f"corrected: {problem}"))
    copied = f"{counted(done.copied['table'], 'image')} copied from the table"
    if done.replaced is not None:
        copied += f", {done.copied['index']:,} from {done.replaced}"
    answers.print(f"{done.index} is in use; {copied} ({done.seconds:.1f} s)")
    show_audit(done.audit, name, state)
    for index in done.dropped:
        answers.print(f"{index} is deleted")
    for index in done.kept:
        drop = command_for("rebuild --drop-old --apply", name, state)
        answers.print(f"{index} is kept: {drop} deletes it")


class Abandoned(msgspec.Struct, frozen=True):
    """The unfinished indexes that are deleted, or would be."""

    abandoned: Sequence[str]


def show_abandoned(rebuild: Rebuild, *, applies: bool, as_json: bool) -> None:
    """Delete an unfinished index, or show it without --apply."""
    indices = rebuild.abandon(apply=applies)
    if as_json:
        print_json(Abandoned(indices), applied=applies)
        return
    for index in indices:
        answers.print(f"{index} {'is deleted' if applies else 'would be deleted'}")
    if not indices:
        answers.print("there is no unfinished index")
    elif not applies:
        answers.print(APPLY_HINT)
