"""Trouble in a running stack sets off the alarms of the template; their pages end it."""

import re
import time
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

import pytest

from lockstep.local.mapping.invocation import mapping_uuid, stream_arn
from lockstep.local.mapping.translation import translated
from lockstep.local.metrics import read_points
from lockstep.stack.clients import Clients
from lockstep.stack.stack import LOCAL_REGION, read_local
from shared.quarantine import INDEX_CONSUMER, TABLE_CONSUMER
from tests.alarm_evaluator import Names, State, state_of
from tests.flow.conftest import running
from tests.flow.shell import Shell
from tests.flow.test_losses import both_mappings_stopped, put
from tools.template.alarms import EVERY_ALARM, RUNBOOK, TemplateAlarm, alarms
from tools.template.rendering import render
from tools.template.updates import TEMPLATE

FIVE_MINUTES = 300
BLOCK = re.compile(r"^```\n(.*?)^```$", re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    """A stack of its own: no trouble of other tests may set off an alarm."""
    yield from running(tmp_path_factory)


def test_a_record_that_can_never_be_applied_is_a_ticket(shell: Shell) -> None:
    shell.run("status", "--wait", "240")
    assert both(shell, "quarantined", at=now()) == {"OK"}
    Clients(read_local(shell.state)).kinesis.put_record(
        StreamName=read_local(shell.state).stream, Data=b"\xff", PartitionKey="alarms"
    )
    shell.run("status", "--wait", "240")
    seen = time.time()
    assert both(shell, "quarantined", at=seen + FIVE_MINUTES) == {"ALARM"}
    (found,) = shell.json("quarantine", "list", "--reason", "not_utf8")["cases"]
    for command in commands("quarantined", case=found["id"]):
        shell.run(*command)
    # No other record came, so the alarm ends by itself.
    assert both(shell, "quarantined", at=seen + 4 * FIVE_MINUTES) == {"OK"}


def test_mappings_that_are_off_are_a_page(shell: Shell) -> None:
    put(shell, "alarms-1")
    shell.run("status", "--wait", "240")
    assert both(shell, "not-reading", at=now() + FIVE_MINUTES) == {"OK"}
    with both_mappings_stopped(shell):
        # Nothing is emitted from here on: fifteen minutes later, each period of the alarm is empty.
        assert both(shell, "not-reading", at=now() + 4 * FIVE_MINUTES) == {"ALARM"}
    put(shell, "alarms-2")
    # Until they have caught up, a plain `status` ends with another exit code.
    shell.run("status", "--wait", "240")
    for command in commands("not-reading"):
        shell.run(*command)
    assert both(shell, "not-reading", at=now() + FIVE_MINUTES) == {"OK"}


def now() -> float:
    return time.time()


def both(shell: Shell, alarm: str, *, at: float) -> set[State]:
    """The states of this alarm of both consumers."""
    found = of_template()
    points = read_points(shell.state)
    names = names_of(shell.state)
    return {
        state_of(found[f"{alarm}-{consumer}"], points, names, at=at)
        for consumer in ("table", "index")
    }


@cache
def of_template() -> Mapping[str, TemplateAlarm]:
    rendered = render(translated(TEMPLATE, LOCAL_REGION), EVERY_ALARM)
    return {one.name: one for one in alarms(rendered)}


def names_of(state: Path) -> Names:
    stack = read_local(state)
    stream = stream_arn(stack.stream, LOCAL_REGION)
    return Names(
        {
            "WriteToDynamodb": TABLE_CONSUMER,
            "WriteToEs": INDEX_CONSUMER,
            "WriteToDynamodbStream": mapping_uuid(TABLE_CONSUMER, stream),
            "WriteToEsStream": mapping_uuid(INDEX_CONSUMER, stream),
        }
    )


def commands(page: str, case: str = "") -> Iterator[list[str]]:
    """The commands of a page, for the local stack: without `--stack NAME`."""
    for block in BLOCK.findall((RUNBOOK / f"{page}.md").read_text()):
        for line in block.splitlines():
            if line.startswith("lockstep "):
                words = line.replace(" --stack NAME", "").split()
                yield [case if word == "ID" else word for word in words[1:]]
