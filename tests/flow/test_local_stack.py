"""The local stack as a user meets it: by commands."""

import datetime as dt
import re
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest
import requests
import urllib3

from functions.search_images.search import search
from functions.write_to_es.aliases import live_alias
from lockstep.local.services import REFRESH_INTERVAL
from lockstep.stack.clients import Clients
from lockstep.stack.stack import read_local
from tests.builders import image, image_event
from tests.flow.shell import Shell, first_lines


def clients(shell: Shell) -> Clients:
    return Clients(read_local(shell.state))


def ndjson(*events: dict[str, Any]) -> bytes:
    return b"".join(msgspec.json.encode(event) + b"\n" for event in events)


def test_what_is_put_is_found_in_both_stores_and_by_a_search_with_typos(shell: Shell) -> None:
    assert shell.json("put", "-", "--from", "tate", stdin=first_lines(200))["put"] == 200
    status = shell.json("status", "--wait", "240")
    assert status["caught_up"] is True
    assert set(status["endpoints"]) == {
        "kinesis",
        "dynamodb",
        "opensearch",
        "s3",
        "search",
        "tablestore",
    }
    assert status["endpoints"]["tablestore"] is None
    assert set(status["consumers"]) == {"write_to_dynamodb", "write_to_es"}
    for consumer in status["consumers"].values():
        assert (consumer["backlog_records"], consumer["lag_ms"]) == (0, 0)
    audit = shell.json("audit")
    assert (audit["result"], audit["table"], audit["index"]) == ("equal", 200, 200)
    assert audit["differences"] == {}
    found = shell.json("search", "catherins chapl")
    assert found["hits"][0]["image_id"] == "T02680"
    assert "<em>" in found["hits"][0]["name_html"]


def test_a_search_takes_words_filters_an_order_and_pages(shell: Shell) -> None:
    assert shell.json("put", "-", "--from", "tate", stdin=first_lines(200))["resent"] == 0
    assert shell.json("status", "--wait", "240")["caught_up"] is True

    def ids(*words: str) -> list[str]:
        return [hit["image_id"] for hit in shell.json("search", *words)["hits"]]

    first = ids("graphite", "paper", "--size", "10")
    assert first == ids("graphite paper", "--size", "10")
    assert len(first) == 10
    pages = [ids("graphite", "paper", "--size", "4", "--page", page) for page in ("1", "2", "3")]
    assert [one for page in pages for one in page][:10] == first
    assert ids("graphite", "paper", "--size", "4", "--page", "999") == []

    medium = shell.json("search", first[0])["hits"][0]["attributes"]["medium"]
    only = shell.json("search", "--filter", f"attr.medium={medium}", "--size", "100")
    assert only["total"] == len(only["hits"]) > 0
    assert {hit["attributes"]["medium"] for hit in only["hits"]} == {medium}
    newest = ids("--filter", f"attr.medium={medium}", "--sort", "newest", "--size", "100")
    assert sorted(newest) == sorted(hit["image_id"] for hit in only["hits"])

    shown = shell.run("search", "graphite", "paper", "--size", "4", "--page", "2", "--facets")
    assert re.search(r"^5 to 8 of \d+ found$", shown, re.MULTILINE)
    assert re.search(r"^facet +value +images$", shown, re.MULTILINE)


def test_markers_show_that_all_is_in_both_stores_and_no_audit_minds(shell: Shell) -> None:
    shell.run("put", "-", stdin=ndjson(image_event("marked-1")))
    status = shell.json("status", "--wait", "60", "--probe")
    assert (status["caught_up"], status["probe"]["shards"]) == (True, 2)
    assert status["probe"]["in_store_of"] == ["write_to_dynamodb", "write_to_es"]
    assert shell.json("audit", "--values")["result"] == "equal"


def test_a_smoke_test_takes_an_image_the_whole_way_and_back(shell: Shell) -> None:
    found = shell.json("smoke")
    assert len(found["seconds"]) == 6
    assert shell.json("search", found["image_id"].removeprefix("lockstep-smoke-"))["hits"] == []


def test_what_is_put_is_found_by_a_search_a_moment_later(shell: Shell) -> None:
    stack, client = read_local(shell.state), clients(shell).opensearch
    settings = client.indices.get_settings(index=stack.index, include_defaults=True)
    (its,) = settings.values()
    every = {**its["defaults"]["index"], **its["settings"]["index"]}["refresh_interval"]
    assert every == REFRESH_INTERVAL
    event = image_event("moment-1", image=image("Momentarily visible"))
    shell.run("put", "-", stdin=ndjson(event))
    put = time.monotonic()
    # Nobody asks for a refresh; `status --wait` would.
    while not (found := search(client, live_alias(stack.index), "momentarily").hits):
        assert time.monotonic() - put < 60
        time.sleep(0.05)
    assert [hit.image_id for hit in found] == ["moment-1"]
    print(f"found {time.monotonic() - put:.2f} s after it was put")  # noqa: T201 - the figure


def test_a_late_event_is_taken_and_the_producer_and_the_status_say_so(shell: Shell) -> None:
    at = dt.datetime.now(dt.UTC) - dt.timedelta(days=91)
    late = image_event(
        "late-1", int(at.timestamp() * 1_000_000), occurred_at=msgspec.to_builtins(at)
    )
    said = shell.start("put", "-").communicate(ndjson(late))[1].decode()
    assert "late: 1 event over 90 days old, the first of image late-1" in said
    assert shell.json("status", "--wait", "240")["late_events"] == 1
    assert shell.json("audit")["result"] == "equal"


def test_a_bad_line_is_told_by_its_number_and_the_good_ones_are_put(shell: Shell) -> None:
    lines = (
        ndjson(image_event("good-1")) + b'{"type": "image.moved"}\n' + ndjson(image_event("good-2"))
    )
    report = shell.json("put", "-", stdin=lines, code=1)
    assert (report["put"], report["resent"]) == (2, 0)
    (refused,) = report["rejected"]
    assert (refused["line"], refused["reason"]) == (2, "schema")
    assert "image.uploaded" in refused["detail"], "how to mend it"
    assert "line 2" in shell.start("put", "-").communicate(lines)[1].decode()


def test_a_deleted_image_is_found_no_more_and_both_stores_agree(shell: Shell) -> None:
    uploaded = image_event("gone", 1, image=image("Quodlibet"))
    shell.run("put", "-", stdin=ndjson(uploaded, image_event("gone", 2, "image.deleted")))
    shell.run("put", "-", stdin=ndjson(uploaded))
    shell.run("status", "--wait", "240")
    assert shell.json("search", "Quodlibet")["total"] == 0
    assert shell.json("audit")["result"] == "equal"


def test_over_http_an_image_is_right_at_once_whatever_was_done_to_it(shell: Shell) -> None:
    at = read_local(shell.state).endpoints.search

    def get(target: str) -> tuple[int, Any]:
        answer = urllib3.request("GET", f"{at}{target}", retries=False, timeout=60)
        return answer.status, answer.json()

    def found(text: str) -> list[tuple[str, int]]:
        return [(hit["name"], hit["version"]) for hit in get(f"/images?q={text}")[1]["hits"]]

    def put(version: int, name: str | None) -> None:
        kind, more = ("image.updated", {"image": image(name)}) if name else ("image.deleted", {})
        event = image_event("http-1", version, kind, **more)
        shell.run("put", "-", stdin=ndjson(event))
        shell.run("status", "--wait", "240")

    put(1, "Xylographica")
    assert found("xylographica") == [("Xylographica", 1)]
    assert get("/images/http-1")[1]["image"] == {"name": "Xylographica"}
    put(2, "Mezzotintica")
    assert found("xylographica") == []
    assert found("mezzotintca") == [("Mezzotintica", 2)]
    assert get("/images/http-1")[1]["version"] == 2
    put(3, None)
    assert found("mezzotintica") == []
    assert get("/images/http-1")[0] == 404
    put(4, "Xylographica rediviva")
    assert found("xylographica") == [("Xylographica rediviva", 4)]
    assert get("/images/suggest?q=xylog")[1]["suggestions"][0]["image_id"] == "http-1"
    assert get("/images/http-1")[1]["version"] == 4
    assert get("/health") == (200, {"status": "ok"})


def test_the_page_shows_what_was_put_changed_deleted_and_put_again_once_it_is_through(
    shell: Shell,
) -> None:
    address = shell.json("status")["endpoints"]["search"]

    def shown_after(*event: Any, **fields: Any) -> tuple[str, int]:
        shell.run("put", "-", stdin=ndjson(image_event("page-1", *event, **fields)))
        shell.run("status", "--wait", "240")
        found = requests.get(address, {"q": "zwieback"}, timeout=30)
        kept = requests.get(address, {"q": "zwieback", "image": "page-1"}, timeout=30)
        assert found.status_code == 200
        (heading,) = re.findall("<h1[^>]*>(.*?)</h1>", kept.text)
        listed = re.sub("</?mark>", "", found.text)
        assert (f">{heading}</a></h2>" in listed) is (kept.status_code == 200)
        return heading, kept.status_code

    updated = "image.updated"
    assert shown_after(1, image=image("Zwieback & tea")) == ("Zwieback &amp; tea", 200)
    assert shown_after(2, updated, image=image("Zwieback alone")) == ("Zwieback alone", 200)
    assert shown_after(3, "image.deleted") == ("This image does not exist", 404)
    assert shown_after(4, image=image("Zwieback again")) == ("Zwieback again", 200)


def test_poison_on_the_stream_is_counted_in_quarantine(shell: Shell) -> None:
    before = shell.json("status", "--wait", "240")
    clients(shell).kinesis.put_record(
        StreamName=before["stream"], PartitionKey="p", Data=b"no event"
    )
    assert shell.json("status", "--wait", "240")["quarantined"] == before["quarantined"] + 2


def test_a_hand_made_difference_is_found(shell: Shell) -> None:
    status = shell.json("status", "--wait", "240")
    clients(shell).opensearch.delete(index=status["index"], id="T02680")
    audit = shell.json("audit", code=1)
    assert (audit["result"], audit["differences"]) == ("different", {"missing_in_index": 1})
    shell.run("put", "-", "--from", "tate", stdin=first_lines(1))
    shell.run("status", "--wait", "240")
    assert shell.json("audit")["result"] == "equal"


@pytest.mark.parametrize("command", ["status", "audit", "search x", "put -"])
def test_without_a_stack_one_line_says_how_to_start_one(tmp_path: Path, command: str) -> None:
    process = Shell(tmp_path / "none").start(*command.split())
    _, err = process.communicate(b"")
    assert process.returncode == 2
    *where, said = err.decode().splitlines()
    assert "lockstep up" in said
    assert where == ([f"local stack {tmp_path / 'none'}"] if command == "put -" else [])
