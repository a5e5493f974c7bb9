"""`lockstep alarms`: see that somebody hears the alarms of a deployed stack."""

import sys
from collections.abc import Callable, Sequence
from typing import Any

import click
import msgspec

from lockstep.commands.chosen_stack import aws_session, name_stack
from lockstep.commands.endings import NO
from lockstep.commands.options import APPLY_HINT, NumberRange, apply_option, examples, json_option
from lockstep.console.terminal import answers, notes, print_json, print_table
from lockstep.console.text import counted, printable
from lockstep.stack.alarms import (
    OUTAGE,
    AlarmCheck,
    StackAlarm,
    checked_alarms,
    read_alarms,
)
from lockstep.stack.clients import AlarmClients
from lockstep.stack.drill import Drill, Rang, planned
from lockstep.stack.stack import STATE, stack_outputs


def _deployed_option[F: Callable[..., Any]](command: F) -> F:
    return click.option(
        "--stack",
        "name",
        metavar="NAME",
        required=True,
        help="Use this CloudFormation stack. A local stack has no alarms.",
    )(command)


class Drilled(msgspec.Struct, frozen=True):
    """A drill: the alarms that ring, as they were before, and what each did (`--apply`)."""

    alarms: Sequence[StackAlarm]
    rang: Sequence[Rang] = ()


@click.group("alarms")
def alarms_group() -> None:
    """See that somebody hears the alarms of a deployed stack."""


@alarms_group.command("check", epilog=examples("lockstep alarms check --stack lockstep-prod"))
@_deployed_option
@json_option
def check_command(name: str, *, as_json: bool) -> None:
    """Check that somebody is told of each alarm.

    An e-mail address gets nothing until its owner has opened the link in the first message of AWS.

    Exit code 1: nobody is told of an alarm, or an address is not confirmed.
    """
    clients = _connected(name)
    found = checked_alarms(_alarms(clients, name), clients.sns, name)
    if as_json:
        print_json(found)
    else:
        show_check(found)
    sys.exit(found.exit_code)


def show_check(found: AlarmCheck) -> None:
    """Print as text who is told."""
    if found.recipients:
        print_table(
            ["topic", "protocol", "address", "confirmed"],
            [
                [
                    printable(one.topic.rpartition(":")[2]),
                    printable(one.protocol),
                    printable(one.endpoint),
                    "yes" if one.confirmed else "no",
                ]
                for one in found.recipients
            ],
        )
    for one in found.wrong:
        answers.print(printable(f"wrong: {one}"))
    if not found.wrong:
        answers.print(f"somebody is told of all {counted(found.alarms, 'alarm')}")


@alarms_group.command(
    "drill",
    epilog=examples(
        "lockstep alarms drill --stack lockstep-prod",
        "lockstep alarms drill --stack lockstep-prod --apply",
        "lockstep alarms drill audit-missing --stack lockstep-prod --apply",
    ),
)
@click.argument("alarm", nargs=-1)
@_deployed_option
@json_option
@click.option("--all", "every", is_flag=True, help="Let each alarm ring that tells somebody.")
@click.option(
    "--wait",
    type=NumberRange(min=0),
    metavar="SECONDS",
    default=60.0,
    show_default=True,
    help="Wait at most this long for the message of each alarm.",
)
@apply_option
def drill_command(
    alarm: tuple[str, ...], name: str, wait: float, *, every: bool, applies: bool, as_json: bool
) -> None:
    """Let alarms ring to see that they tell somebody.

    ALARM is the name of an alarm, such as errors-table. Without ALARM, one of each severity rings:
    errors-table (of a replica, errors-replica) and outage. `outage` needs two minutes, because
    planned work may keep it silent that long. Nothing else happens: no event and no store changes.

    Exit code 1: a topic did not get the message of an alarm.
    """
    if every and alarm:
        raise click.UsageError("give ALARM or --all, not both")
    if applies:
        name_stack(name, STATE)
    clients = _connected(name)
    alarms = _alarms(clients, name)
    wanted = _all_that_are_off(alarms) if every else alarm
    chosen = planned(alarms, wanted, name)
    if not applies:
        if as_json:
            print_json(Drilled(chosen), applied=False)
        else:
            show_plan(chosen)
        return
    drill = Drill(clients.cloudwatch, alarms=lambda: _alarms(clients, name), clock=clients.clock)
    rang = []
    for one in chosen:
        notes.print(printable(f"rings: {one.name}"))
        rang.append(drill.ring(one, wait))
    if as_json:
        print_json(Drilled(chosen, rang), applied=True)
    else:
        show_rang(rang)
    sys.exit(0 if all(one.is_heard for one in rang) else NO)


def show_plan(chosen: Sequence[StackAlarm]) -> None:
    """Print as text what a drill would do, and what people will get."""
    print_table(
        ["alarm", "severity", "tells"],
        [
            [
                printable(one.name),
                one.severity,
                printable(", ".join(topic.rpartition(":")[2] for topic in one.topics)),
            ]
            for one in chosen
        ],
    )
    answers.print(
        "each of them goes on and off. Whoever listens to its topic gets two messages: the reason "
        "in the first one says that it is a drill"
    )
    if any(one.short == OUTAGE for one in chosen):
        answers.print(f"{OUTAGE} wakes the person on call: tell that person before")
    answers.print(APPLY_HINT)


def show_rang(rang: Sequence[Rang]) -> None:
    """Print as text whom each alarm told."""
    print_table(
        ["alarm", "told", " after"],
        [
            [
                printable(one.alarm),
                printable(", ".join(topic.rpartition(":")[2] for topic in one.told)) or "nobody",
                f"{one.seconds:,.0f} s",
            ]
            for one in rang
        ],
    )
    for one in rang:
        for said in one.failed:
            answers.print(printable(f"{one.alarm}: {said}"))
        for topic in one.missing:
            answers.print(
                printable(
                    f"{one.alarm}: no message to {topic} yet. If the alarm went off before it "
                    "told, run the drill again; else look at its history in CloudWatch"
                )
            )
    if all(one.is_heard for one in rang):
        answers.print("the topics got the messages: see that people got them, too")


def _all_that_are_off(alarms: Sequence[StackAlarm]) -> Sequence[str]:
    """The alarms that tell somebody; says which of them are on, and so are left out."""
    telling = [one for one in alarms if one.topics]
    for one in telling:
        if one.state == "ALARM":
            notes.print(printable(f"left out, because it is on: {one.name}"))
    return [one.name for one in telling if one.state != "ALARM"]


def _connected(name: str) -> AlarmClients:
    """The clients of a stack, of whichever template it is."""
    clients = AlarmClients(aws_session())
    stack_outputs(clients.cloudformation, name, clients.region)  # raises if it is not there
    return clients


def _alarms(clients: AlarmClients, name: str) -> Sequence[StackAlarm]:
    return read_alarms(clients.cloudformation, clients.cloudwatch, name)
