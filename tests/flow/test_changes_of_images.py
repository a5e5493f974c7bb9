"""One image is read, changed and deleted by commands, on a stack that runs."""

import subprocess
from typing import Any

import msgspec

from tests.builders import image, image_event
from tests.flow.shell import Shell

ROUNDS = 4


def put(shell: Shell, image_id: str, **fields: Any) -> None:
    event = image_event(image_id, image=image("Low tide", **fields))
    del event["version"], event["occurred_at"]
    shell.run("put", "-", stdin=msgspec.json.encode(event))
    shell.run("status", "--wait", "240")


def test_an_image_is_changed_and_deleted_through_the_stream(shell: Shell) -> None:
    put(shell, "one-1", tags=["a"], attributes={"artist": "X"})
    words = ("--set", "name=High tide", "--unset", "attributes.artist", "--add-tag", "b")
    assert shell.json("update", "one-1", *words)["result"] == "delivered"
    got = shell.json("get", "one-1")
    assert got["result"] == "equal"
    assert got["index"]["image"] == image("High tide", tags=["a", "b"])
    assert "one-1" in [hit["image_id"] for hit in shell.json("search", "high tide")["hits"]]
    (deleted,) = shell.json("delete", "one-1")["images"]
    assert deleted["result"] == "delivered"
    got = shell.json("get", "one-1", code=1)
    assert (got["result"], got["table"]["state"], got["index"]["state"]) == (
        "deleted",
        "tombstone",
        "tombstone",
    )


def answer(process: subprocess.Popen[bytes]) -> tuple[int, Any]:
    out, err = process.communicate(timeout=900)
    assert process.returncode in (0, 1), err.decode()
    assert b"Traceback" not in err
    return process.returncode, msgspec.json.decode(out)


def test_of_two_who_change_an_image_at_once_each_lost_change_is_told(shell: Shell) -> None:
    put(shell, "race-1")
    told: set[str] = set()
    added: set[str] = set()
    outcomes = []
    for turn in range(ROUNDS):
        tags = [f"{who}-{turn}" for who in "ab"]
        both = [shell.start("update", "race-1", "--add-tag", tag, "--json") for tag in tags]
        for tag, process in zip(tags, both, strict=True):
            added.add(tag)
            code, found = answer(process)
            outcomes.append(found["result"])
            if code:
                shown = [found["put"], *found["others"]]
                told |= {one for event in shown for one in event["image"].get("tags", [])}
    print(f"of {len(outcomes)} updates in pairs: {outcomes}")  # noqa: T201 - the figures
    got = shell.json("get", "race-1")
    assert got["result"] == "equal"
    lost = added - {*got["table"]["image"]["tags"]}
    assert lost <= told
