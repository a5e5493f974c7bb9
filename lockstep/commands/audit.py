"""`lockstep audit`: whether both stores say the same."""

import sys
from pathlib import Path

import click

from lockstep.commands.options import connected, json_option, stack_options
from lockstep.terminal import answers, notes, print_json, print_table, printable


@click.command("audit")
@stack_options
@json_option
def audit_command(name: str | None, state: Path, *, as_json: bool) -> None:
    """Do both stores say the same? Exit code 0: equal, 1: different, 2: could not tell."""
    system = connected(name, state)
    with notes.status("reading both stores") as line:
        found = system.audit(lambda store, count: line.update(f"reading the {store}: {count:,}"))
    if as_json:
        print_json(found)
    else:
        print_table(
            ["store", " entries"], [["table", f"{found.table:,}"], ["index", f"{found.index:,}"]]
        )
        if found.differences:
            counts = [[kind, f"{count:,}"] for kind, count in found.differences.items()]
            print_table(["difference", " images"], counts)
        if found.reason:
            answers.print(printable(found.reason))
        answers.print(f"audit: {found.result} ({found.seconds:.1f} s)")
    if found.result == "different" and not system.status().caught_up:
        notes.print("a consumer is behind: `lockstep status --wait 60`, then audit again")
    sys.exit(found.exit_code)
