"""The local stack under SIGKILL, while events flow: of a rebuild, and of any process."""

import random

import pytest

from lockstep.stack.stack import read_local
from tests.flow.rebuilding import Reader, Rebuilding
from tests.flow.shell import Shell, first_lines
from tests.flow.storm import VICTIMS, Flow, Storm, in_index, in_table


# It has deadlines of its own, step by step: how long it takes depends on `--rebuilds`.
@pytest.mark.timeout(0)
def test_a_rebuild_killed_twice_while_events_flow_misses_nothing_and_shows_no_half_index(
    shell: Shell, pytestconfig: pytest.Config, capsys: pytest.CaptureFixture[str]
) -> None:
    shell.run("put", "-", "--from", "tate", stdin=first_lines(600, "still-"))
    shell.run("status", "--wait", "600")
    chance = random.Random(pytestconfig.getoption("--kills-seed"))
    stack = read_local(shell.state)
    flow = Flow(
        shell, "moving-", chance, events_a_second=pytestconfig.getoption("--events-a-second")
    )
    reader, rebuilding = Reader(stack, "moving-"), Rebuilding(shell, stack, chance)
    for thread in (reader, flow):
        thread.start()
    read: set[str] = set()
    try:
        for again in range(pytestconfig.getoption("--rebuilds")):
            if again:
                shell.run("rebuild", "--apply", "--drop-old")
            done = rebuilding.run(flow)
            assert done["not_copied"] == []
            read |= {done["index"], *done["kept"]}
    finally:
        flow.finish()
        reader.finish()
    assert shell.json("status", "--wait", "600")["caught_up"] is True
    assert shell.json("audit", "--values")["result"] == "equal"
    assert in_table(stack, "moving-") == flow.acknowledged
    assert in_index(stack, "moving-") == flow.acknowledged
    assert set(reader.counts) == {reader.counts[0]}, "what nobody touches is always there"
    assert reader.counts[0] >= 600
    assert reader.indices == read
    with capsys.disabled():
        print(  # noqa: T201 - how much was tried is part of the result
            f"\nkilled when {', '.join(rebuilding.killed)}; {flow.events} events, "
            f"{flow.rate:.0f} a second, {rebuilding.flow}; read {len(reader.counts)} times"
        )


# It has deadlines of its own, step by step: how long it takes depends on `--kills`.
@pytest.mark.timeout(0)
def test_sigkill_of_any_process_while_events_flow_loses_nothing(
    shell: Shell, pytestconfig: pytest.Config, capsys: pytest.CaptureFixture[str]
) -> None:
    storm = Storm(shell, seed=pytestconfig.getoption("--kills-seed"))
    before = storm.set_aside()
    try:
        storm.rage(pytestconfig.getoption("--kills"))
        assert shell.json("status", "--wait", "600")["caught_up"] is True
        audit = shell.json("audit")
        assert (audit["result"], audit["differences"]) == ("equal", {})
        assert storm.in_table() == storm.acknowledged
        assert storm.in_index() == storm.acknowledged
        assert storm.set_aside() == before
    except BaseException as error:
        error.add_note(str(storm))
        raise
    assert set(storm.kills) == set(VICTIMS)
    with capsys.disabled():
        print(f"\n{storm}")  # noqa: T201 - how much was tried is part of the result
