"""An image is erased on a stack that runs: no store, object or log has its content afterwards."""

from pathlib import Path

import msgspec

from tests.builders import image, image_event
from tests.contract.erase.planting import MARKER
from tests.flow.shell import Shell


def put(shell: Shell, event: dict[str, object]) -> None:
    shell.run("put", "-", stdin=msgspec.json.encode(event))
    shell.run("status", "--wait", "240")


def test_a_marker_is_in_no_store_object_or_log_after_an_erasure(
    shell: Shell, tmp_path: Path
) -> None:
    version = 1_795_000_000_000_000
    for name in (MARKER, f"{MARKER} again"):  # the second one is a conflict, and quarantined
        put(shell, image_event("ada.jpg", version, image=image(name, tags=[MARKER])))
    put(shell, image_event("other.jpg", version))
    assert shell.json("get", "ada.jpg")["quarantine"]
    receipt = tmp_path / "receipt.json"
    words = ("ada.jpg", "--apply", "--receipt", str(receipt))
    (one,) = shell.json("erase", *words)["images"]
    assert (one["result"], one["found"]) == ("erased", {"table": 1, "index": 1, "quarantine/": 2})
    assert shell.json("erase", "--verify", str(receipt))["result"] == "gone"
    assert shell.json("search", MARKER)["hits"] == []
    assert shell.json("quarantine", "list")["cases"] == []
    assert shell.json("get", "other.jpg")["result"] == "equal"
    logs = [*(shell.state / "logs").glob("write_to_*")]
    assert logs
    assert [log.name for log in logs if MARKER.encode() in log.read_bytes()] == []
