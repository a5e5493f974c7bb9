"""The trouble of each alarm is caused on a running stack, seen, and ended as its page says.

The alarms are those of the rendered template. They are evaluated as CloudWatch does, over what the
stack has emitted. `tools/template/played.py` names the alarms that no test plays, and why.
"""

import datetime as dt
import itertools
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest

from shared.stamps import stamp_at
from tests.alarm_evaluator import OutageMoment, composite_state, told_at
from tests.builders import image_event
from tests.flow.alarm_stage import Stage, pair, plays, resources
from tests.flow.domain_metrics import emit_metrics
from tests.flow.troubles import (
    audit,
    images_of_lanes,
    no_room,
    nothing,
    read_too_often,
    search,
    search_slowly,
    write_too_much,
)
from tests.trimming import outlive_retention
from tools.engines import quick_folder
from tools.template.alarms import alarms

DAY = 86_400
MINUTE = 60


@pytest.fixture(scope="module")
def stage(request: pytest.FixtureRequest) -> Iterator[Stage]:
    """A stack of its own: no trouble of other tests may set off an alarm.

    If a test fails, its folder stays, with the logs.
    """
    failed = request.session.testsfailed
    folder = Path(tempfile.mkdtemp(prefix="lockstep-alarms-", dir=quick_folder()))
    made = Stage(folder)
    yield made
    made.close()
    if request.session.testsfailed == failed:
        shutil.rmtree(folder)


@plays(*pair("errors"))
def test_a_table_and_an_index_that_are_missing(stage: Stage) -> None:
    stage.clients.dynamodb.delete_table(TableName=stage.stack.table)
    stage.clients.opensearch.indices.delete(index=f"{stage.stack.index}-*")
    stage.put(image_event("without-a-store"))
    stage.set_off(*pair("errors"), by=nothing)
    stage.look("errors")
    stage.prepare()
    stage.act("errors")
    stage.is_over(*pair("errors"))


@plays(*pair("quarantined"), "quarantine-waiting", "quarantine-old")
def test_a_record_that_can_never_be_applied(stage: Stage) -> None:
    stage.set_off(*pair("quarantined"), by=lambda: stage.put(image_event("poison", version="1")))
    stage.set_off("quarantine-waiting", by=stage.watch)
    for file in stage.objects("quarantine/"):
        os.utime(file, times=(time.time() - 61 * DAY,) * 2)
    stage.set_off("quarantine-old", by=stage.watch)
    (case,) = stage.json("quarantine", "list")["cases"]
    pages = ("quarantined", "quarantine-waiting", "quarantine-old")
    for page in pages:
        stage.look(page, ID=case["id"])
    mended = {"id": case["id"], "event": image_event("poison")}
    file = stage.state / "mended.json"
    file.write_bytes(msgspec.json.encode(mended) + b"\n")
    stage.run("redrive", "--mend", str(file), "--apply")
    for page in pages:
        stage.act(page)
    stage.goes_off("quarantine-waiting", "quarantine-old", by=stage.watch)
    stage.is_over(*pair("quarantined"))


@plays(*pair("delivery-failed", "discarded"), "documents-waiting")
def test_records_that_got_too_old(stage: Stage) -> None:
    stage.caught_up()  # a batch is not too old if its first record is not
    with stage.bucket_missing():
        stage.put_long_ago(image_event("too-old"), days=6.5)
        stage.set_off(*pair("delivery-failed"), by=nothing)
        stage.look("delivery-failed")
    stage.set_off(*pair("discarded"), by=nothing)
    stage.set_off("documents-waiting", by=stage.watch)
    stage.look("discarded")
    stage.look("quarantine-waiting")
    stage.act("discarded")
    stage.act("quarantine-waiting")
    stage.goes_off("documents-waiting", by=stage.watch)
    stage.is_over(*pair("delivery-failed", "discarded"))


@plays(*pair("dropped", "throttled"), "throttled-search", "stream-throttled", "producer-throttled")
def test_no_room(stage: Stage) -> None:
    """For functions, for failure documents, and in a shard of the stream."""
    throttled = (*pair("throttled"), "throttled-search", "stream-throttled", "producer-throttled")
    images = images_of_lanes()

    def trouble() -> None:
        write_too_much(stage, next(images))
        read_too_often(stage)
        assert search(stage) == 503

    stage.caught_up()  # for the same reason
    stage.stop_functions()
    stage.start_functions(stage.changed_template(no_room))
    stage.put_long_ago(image_event("dropped"), days=6.5)
    stage.set_off(*pair("dropped"), by=nothing)
    stage.look("dropped")
    stage.set_off(*throttled, by=trouble)
    for page in ("throttled", "stream-throttled", "producer-throttled"):
        stage.look(page)
    stage.stop_functions()
    stage.start_functions()
    stage.act("dropped")
    stage.is_over(*throttled, *pair("dropped"))


@plays(*pair("lags", "loss-is-near"))
def test_consumers_that_are_late(stage: Stage) -> None:
    number = itertools.count()

    def trouble() -> None:
        stage.put_long_ago(image_event(f"late-{next(number)}"), days=3.2)

    stage.set_off(*pair("lags"), by=trouble)
    stage.is_on(*pair("loss-is-near"))
    for page in ("lags", "loss-is-near"):
        stage.look(page)
        stage.act(page)
    stage.goes_off(*pair("lags", "loss-is-near"), by=lambda: stage.put(image_event("in-time")))


@plays(*pair("slow"), "late-events", "outrun")
def test_a_producer_that_is_late_and_whose_versions_disagree(stage: Stage) -> None:
    number = itertools.count()

    def put_late() -> None:
        stage.put(image_event(f"slow-{next(number)}", occurred_at=ago(600)))

    stage.set_off(*pair("slow"), by=put_late)
    stage.look("slow")

    version = stamp_at(time.time() - 100 * DAY)
    forgotten = image_event("forgotten", version, occurred_at=ago(100 * DAY))
    stage.set_off("late-events", by=partial(stage.put, forgotten))
    stage.look("late-events")
    deletion = image_event("forgotten", stamp_at(time.time()), "image.deleted")
    stage.put(deletion | {"occurred_at": ago(0)})

    stage.put(image_event("both", stamp_at(time.time()), occurred_at=ago(0)))
    stage.caught_up()
    stage.set_off("outrun", by=lambda: stage.put(image_event("both", 2)))
    (case,) = stage.json("quarantine", "list", "--reason", "outrun")["cases"]
    stage.look("outrun", ID=case["id"])
    stage.act("outrun", ID=case["id"])
    stage.caught_up()
    assert stage.json("audit")["result"] == "equal"
    stage.is_over(*pair("slow"), "late-events", "outrun")


@plays("domain-red", "domain-yellow", "domain-writes-blocked")
def test_a_domain_in_trouble(stage: Stage) -> None:
    opensearch = stage.clients.opensearch

    def look() -> None:
        emit_metrics(opensearch, stage.measured.emit)
        stage.measured.flush()

    def create(name: str, **settings: Any) -> None:
        opensearch.indices.create(
            index=name,
            body={"settings": settings},
            params={"wait_for_active_shards": "0"},
        )

    def remove(name: str) -> None:
        opensearch.indices.delete(index=name)
        opensearch.cluster.health(params={"wait_for_status": "green"})

    create("no-node", **{"routing.allocation.require._name": "nobody", "number_of_replicas": 0})
    stage.set_off("domain-red", by=look)
    stage.look("domain-red")
    remove("no-node")
    stage.act("domain-red")
    stage.goes_off("domain-red", by=look)

    create("one-node-too-few", number_of_replicas=1)
    stage.set_off("domain-yellow", by=look)
    remove("one-node-too-few")
    stage.goes_off("domain-yellow", by=look)

    # What a domain does to its indices when its disk is full.
    block = "index.blocks.read_only_allow_delete"
    opensearch.indices.put_settings(index=stage.stack.index, body={block: True})
    stage.put(image_event("blocked"))
    stage.set_off("domain-writes-blocked", by=look)
    stage.look("domain-writes-blocked")
    opensearch.indices.put_settings(index=stage.stack.index, body={block: None})
    stage.act("domain-writes-blocked")
    stage.goes_off("domain-writes-blocked", by=look)


@plays("search-slow")
def test_a_search_that_is_slow(stage: Stage) -> None:
    stage.set_off("search-slow", by=partial(search_slowly, stage))
    stage.look("search-slow")
    stage.is_over("search-slow")


@plays("aliases-astray", "search-fails")
def test_an_alias_that_is_missing(stage: Stage) -> None:
    stage.clients.opensearch.indices.delete_alias(index="*", name=stage.stack.live)
    stage.set_off("search-fails", by=partial(search, stage))
    stage.set_off("aliases-astray", by=stage.watch)
    stage.look("search-fails")
    stage.look("aliases-astray")
    stage.run("rebuild", "--apply", "--settle", "1")
    stage.act("aliases-astray")
    stage.goes_off("aliases-astray", by=stage.watch)
    stage.wait_until(lambda: search(stage) == 200)
    stage.is_over("search-fails")


@plays("index-empty", "watcher-silent")
def test_an_index_that_is_empty(stage: Stage) -> None:
    stage.put(image_event("in-the-table"))
    stage.caught_up()
    stage.clients.opensearch.indices.delete(index=f"{stage.stack.index}-*")
    stage.prepare()
    stage.set_off("index-empty", by=stage.watch)
    stage.look("index-empty")
    stage.act("index-empty")
    stage.goes_off("index-empty", by=stage.watch)
    stage.time.let_pass(15 * MINUTE)
    stage.is_on("watcher-silent")
    stage.goes_off("watcher-silent", by=stage.watch)


@plays("audit-different", "audit-unknown", "audit-missing")
def test_an_audit_that_finds_something(stage: Stage) -> None:
    stage.put(image_event("audited"))
    stage.caught_up()
    stage.stop_functions()
    stage.put(image_event("lost"))
    database, now = stage.state / "kinesis.db", round(time.time() * 1000)
    outlive_retention(database, stage.stack.stream, now=now)
    stage.start_functions()
    stage.put(image_event("after"))
    stage.run("status", "--wait", "240", code=2)
    stage.set_off("audit-unknown", by=partial(audit, stage))
    stage.look("audit-unknown")
    since = stage.json("audit", code=2)["unknown_since"]
    stage.run("audit", "--acknowledge", since, "--reason", "a test lost it")

    opensearch, index = stage.clients.opensearch, stage.stack.index
    found = opensearch.get(index=index, id="audited")
    opensearch.index(
        index=index,
        id="audited",
        body=found["_source"] | {"digest": "0" * 64},
        params={"version": found["_version"], "version_type": "external_gte", "refresh": "true"},
    )
    stage.set_off("audit-different", by=partial(audit, stage))
    stage.look("audit-different")
    stage.time.let_pass(30 * 60 * MINUTE)
    stage.is_on("audit-missing", "audit-different")
    stage.look("audit-missing")
    stage.act("audit-different")
    stage.goes_off("audit-missing", "audit-different", "audit-unknown", by=partial(audit, stage))


@plays(*pair("not-reading"), "planned-work", "outage")
def test_one_outage_is_one_page_and_none_while_work_is_planned(stage: Stage) -> None:
    outage = resources()["Outage"]["Properties"]
    history: list[OutageMoment] = []
    pages = [one for one in alarms(resources()) if one.severity == "page"]

    def let_pass_a_minute() -> None:
        stage.time.let_pass(MINUTE)
        states = stage.states("planned-work", *(one.name for one in pages))
        on = {one.logical_id for one in pages if states[one.name] == "ALARM"}
        is_on = composite_state(outage, on) == "ALARM"
        history.append(OutageMoment(stage.time.now, is_on, states["planned-work"] == "ALARM"))

    stage.put(image_event("before-the-work"))
    stage.caught_up()
    stage.goes_off(*pair("not-reading"), by=nothing)
    stage.plan_work()
    let_pass_a_minute()
    stage.is_on("planned-work")
    stage.stop_functions()
    while not history[-1].on:
        let_pass_a_minute()
    stage.is_on(*pair("not-reading"))
    stage.look("outage")
    stage.look("not-reading")
    while history[-1].suppressed:
        let_pass_a_minute()
    assert stage.time.now - history[0].at <= 3600, "the work was planned for an hour"
    stage.is_off("planned-work")
    assert told_at(outage, history) is None
    ended = stage.time.now
    for _ in range(6):
        let_pass_a_minute()
    assert told_at(outage, history) == ended + 300
    stage.gone_on.add("outage")
    stage.start_functions()
    stage.act("not-reading")
    stage.goes_off(*pair("not-reading"), by=nothing)
    let_pass_a_minute()
    assert [one.on for one in history[-1:]] == [False]
    stage.gone_off.add("outage")


def ago(seconds: float) -> str:
    return (dt.datetime.now(dt.UTC) - dt.timedelta(seconds=seconds)).isoformat()
