"""Both consumers lose the same records: the stores agree, and nobody says that all is well."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec

from lockstep.stack.clients import Clients
from lockstep.stack.stack import read_local
from shared.quarantine import CONSUMERS
from tests.builders import image, image_event
from tests.flow.shell import Shell
from tests.trimming import outlive_retention


def test_what_both_consumers_lost_is_unknown_until_it_is_acknowledged(shell: Shell) -> None:
    put(shell, "L1", "L2")
    assert shell.json("status", "--wait", "240")["losses"] == []
    first = shell.json("audit")
    assert first["result"] == "equal"
    images = first["table"] + 1  # L4 arrives

    with both_mappings_stopped(shell):
        put(shell, "L3")
        too_old(shell)
        # They have not noticed it yet. The stream shows it.
        waiting = shell.json("status", code=2)
    assert {loss["consumer"]: loss["records"] for loss in waiting["losses"]} == dict.fromkeys(
        CONSUMERS, 1
    )
    since = waiting["unknown_since"]

    put(shell, "L4")
    status = shell.json("status", "--wait", "240", code=2)
    assert status["caught_up"] is True
    assert (status["unknown_since"], lost(status)) == (since, lost(waiting))
    for name in CONSUMERS:
        shell.processes()[name].kill()
    text = shell.run("audit", code=2)
    assert f"`lockstep audit --acknowledge {since} --reason TEXT --state {shell.state}`" in text
    assert f"audit: unknown since {since} (" in text
    audit = shell.json("audit", code=2)
    assert (audit["result"], audit["table"], audit["index"]) == ("unknown", images, images)
    assert (audit["unknown_since"], lost(audit)) == (since, lost(waiting))

    # It hinders neither the repair of what is proved different nor the end of a rebuild.
    change_digest_in_index(shell, "L1")
    assert shell.json("audit", code=1)["unknown_since"] == since
    repaired = shell.json("audit", "--repair", "--apply", "--at-most", "100", code=2)
    assert repaired["audit"]["differences"] == {"conflict": 1}
    assert repaired["after"]["differences"] == {}
    rebuilt = shell.json("rebuild", "--apply", "--settle", "1", code=2)
    assert rebuilt["audit"]["unknown_since"] == since
    assert shell.json("rebuild")["stage"] == "repeat", "nothing of it is left to do"

    # The time must be the one that was printed.
    refused = shell.start("audit", "--acknowledge", "2026-01-01T00:00:00Z", "--reason", "x")
    assert f"since {since}, not since 2026-01-01T00:00:00Z" in refused.communicate()[1].decode()
    told = shell.run("audit", "--acknowledge", since, "--reason", "L3 is put again")
    assert told == "2 losses acknowledged\n"
    put(shell, "L3")
    assert shell.json("status", "--wait", "240")["unknown_since"] is None
    assert shell.json("audit")["result"] == "equal"

    with both_mappings_stopped(shell):
        put(shell, "L5")
        too_old(shell)
    put(shell, "L6")
    again = shell.json("status", "--wait", "240", code=2)
    assert sorted(loss["records"] for loss in again["losses"]) == [1, 1]
    assert not {*lost(again)} & {*lost(waiting)}
    assert shell.json("audit", code=2)["unknown_since"] == again["unknown_since"]
    # The tests after this one share the stack.
    shell.run("audit", "--acknowledge", again["unknown_since"], "--reason", "L5 is put again")
    put(shell, "L5")
    assert shell.json("status", "--wait", "240")["unknown_since"] is None


def put(shell: Shell, *image_ids: str) -> None:
    events = [image_event(one, image=image(one)) for one in image_ids]
    lines = b"".join(msgspec.json.encode(event) + b"\n" for event in events)
    assert shell.json("put", "-", stdin=lines)["put"] == len(image_ids)


def change_digest_in_index(shell: Shell, image_id: str) -> None:
    stack = read_local(shell.state)
    opensearch = Clients(stack).opensearch
    found = opensearch.get(index=stack.index, id=image_id)
    opensearch.index(
        index=stack.index,
        id=image_id,
        body=found["_source"] | {"digest": "0" * 64},
        params={"version": found["_version"], "version_type": "external_gte", "refresh": "true"},
    )


def too_old(shell: Shell) -> None:
    stream = read_local(shell.state).stream
    outlive_retention(shell.state / "kinesis.db", stream, now=round(time.time() * 1000))


def lost(report: Any) -> list[tuple[str, ...]]:
    """The losses of a status or an audit: what tells each apart."""
    return [
        tuple(str(loss.get(name)) for name in ("consumer", "shard_id", "after", "records"))
        for loss in report["losses"]
    ]


@contextmanager
def both_mappings_stopped(shell: Shell) -> Iterator[None]:
    """The supervisor restarts a mapping that dies, so they are suspended."""
    mappings = [shell.processes()[name] for name in CONSUMERS]
    for one in mappings:
        one.suspend()
    try:
        yield
    finally:
        for one in mappings:
            one.resume()
