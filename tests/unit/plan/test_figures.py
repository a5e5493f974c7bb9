"""Every figure of a plan, calculated a second time from the data files, without the formulas."""

import math
import tomllib
from itertools import product
from pathlib import Path
from types import SimpleNamespace

import pytest

from lockstep.plan import sources
from lockstep.plan.expected import ExpectedLoad, LoadRefusedError
from lockstep.plan.formulas import value_of
from lockstep.plan.index import CHOICES
from lockstep.plan.planning import plan
from lockstep.plan.sources import measured, own_prices

FOLDER = Path(sources.__file__).parent
MONTH_S = 365 / 12 * 86_400
HOURS = 730
GIB = 2**30

A_SMALL_ONE = ExpectedLoad(
    mean_events_per_second=1,
    peak_events_per_second=10,
    event_bytes=585,
    images=100_000,
    update_share=0.5,
    deletion_share=0.01,
    searches_per_second=2,
    retention_days=7,
    outage_hours=6,
)
A_LARGE_ONE = ExpectedLoad(
    mean_events_per_second=1_000,
    peak_events_per_second=3_000,
    event_bytes=1_200,
    images=50_000_000,
    update_share=0.9,
    deletion_share=0.05,
    searches_per_second=50,
    retention_days=14,
    outage_hours=24,
)
A_HUGE_ONE = ExpectedLoad(
    mean_events_per_second=100_000,
    peak_events_per_second=100_000,
    event_bytes=585,
    images=1_000_000_000,
    update_share=1,
    deletion_share=0,
    searches_per_second=1_000,
    retention_days=30,
    outage_hours=1,
)
LARGE_EVENTS = ExpectedLoad(
    mean_events_per_second=30,
    peak_events_per_second=40,
    event_bytes=300_000,
    images=1_000_000,
    update_share=0,
    deletion_share=0.5,
    searches_per_second=0,
    retention_days=2,
    outage_hours=0,
)
ONE_PEAK = ExpectedLoad(
    mean_events_per_second=0.5,
    peak_events_per_second=5_000,
    event_bytes=585,
    images=1_000_000,
    update_share=0,
    deletion_share=0,
    searches_per_second=0,
    retention_days=3,
    outage_hours=48,
)
SEVERAL_LANES = ExpectedLoad(
    mean_events_per_second=50,
    peak_events_per_second=200,
    event_bytes=585,
    images=10_000_000,
    update_share=0.96,
    deletion_share=0.01,
    searches_per_second=10,
    retention_days=7,
    outage_hours=6,
)
LOADS = [A_SMALL_ONE, A_LARGE_ONE, A_HUGE_ONE, LARGE_EVENTS, ONE_PEAK, SEVERAL_LANES]


def calculated(load: ExpectedLoad) -> dict[str, float | str]:  # noqa: PLR0915 - all figures
    """The figures by name, from the files as they are."""
    mine = SimpleNamespace(
        **{
            name: entry["value"]
            for name, entry in tomllib.loads((FOLDER / "measured.toml").read_text()).items()
        }
    )
    theirs = tomllib.loads((FOLDER / "prices.toml").read_text())
    cost = SimpleNamespace(**{name: entry["value"] for name, entry in theirs["prices"].items()})
    aws = SimpleNamespace(**{name: entry["value"] for name, entry in theirs["limits"].items()})
    room = mine.usable_percent / 100
    mean, peak, size = load.mean_events_per_second, load.peak_events_per_second, load.event_bytes
    longer = max(1.0, size / mine.benchmark_event_bytes)
    is_: dict[str, float | str] = {}

    # index
    need = max(peak, 2 * mean)
    dead = mean * load.deletion_share * mine.tombstone_days * 24 * 60 * 60
    entries = load.images + dead
    an_image = (
        mine.benchmark_index_mb * 1e6 / mine.benchmark_images * (size / mine.benchmark_event_bytes)
    )
    gib = (load.images * an_image + dead * mine.tombstone_document_bytes) / GIB
    document_ms = mine.benchmark_index_fill_s / mine.benchmark_images * 1_000 * longer
    writing = need * document_ms / 1_000
    primaries = max(1, math.ceil(gib / 30), math.ceil(writing / room))
    vcpus = (2 * writing + load.searches_per_second * mine.query_cpu_ms / 1_000) / room
    disk = gib * 2 * 2 / 0.95 / 0.8
    used = min(3, 2 * primaries)
    fitting = [
        node
        for node in theirs["nodes"]
        if node["vcpus"] * used >= vcpus and node["most_disk_gib"] * used >= disk
    ]
    nodes = 3
    if fitting:
        node = min(fitting, key=lambda one: one["hour_dollars"])
    else:
        node = max(theirs["nodes"], key=lambda one: one["vcpus"])
        nodes = max(3, math.ceil(vcpus / node["vcpus"]), math.ceil(disk / node["most_disk_gib"]))
        used = min(nodes, 2 * primaries)
    sizes = [10, 20, 30, 50, 75, 100, 150, 200, 300, 400, 500, 750, 1000]
    disk_each = min([one for one in sizes if one * used >= disk], default=math.ceil(disk / used))
    is_ |= {
        "needed_events_per_second": need,
        "tombstones": dead,
        "entries": entries,
        "index_bytes_per_image": an_image,
        "index_gib": gib,
        "document_cpu_ms": document_ms,
        "primaries": primaries,
        "replicas": 1,
        "domain_vcpus": vcpus,
        "domain_disk_gib": disk,
        "node_type": node["type"],
        "nodes": nodes,
        "used_nodes": used,
        "node_vcpus": node["vcpus"],
        "node_hour_dollars": node["hour_dollars"],
        "node_disk_gib": disk_each,
    }

    # consumers
    fit = max(1, math.floor(6_000_000 / (size / 3 * 4 + 500)))
    table_batch, index_batch = min(100, fit), min(500, fit)
    slow = 1769 / 512
    table_step = (mine.writer_batch_us * 100 - mine.writer_single_us) / 99
    index_step = (mine.indexer_batch_us * 100 - mine.indexer_single_us) / 99
    table_start, index_start = (
        mine.writer_single_us - table_step,
        mine.indexer_single_us - index_step,
    )
    table_work = (table_start + table_batch * table_step * longer) / 1_000 * slow
    index_work = (index_start + index_batch * index_step * longer) / 1_000 * slow
    a_document = document_ms * 2 / primaries
    table_ms = table_work + math.ceil(table_batch / 25) * aws.table_answer_ms
    index_ms = index_work + index_batch * a_document
    table_lane, index_lane = table_batch / table_ms * 1_000, index_batch / index_ms * 1_000
    slower = min(table_lane, index_lane)
    shards = math.ceil(
        max(
            peak / 1_000 / room,
            peak * size / 2**20 / room,
            (need + peak) * size / 2**21 / room,
            need / (10 * slower),
        )
    )
    lanes = min(10, math.ceil(need / (shards * slower)))
    rate = max(mean / min(table_batch, index_batch), min(mean, shards * lanes))
    in_batch = mean / rate
    an_invocation_ms = (
        (table_start + index_start + in_batch * (table_step + index_step) * longer) / 1_000 * slow
        + math.ceil(in_batch / 25) * aws.table_answer_ms
        + in_batch * a_document
    )
    gb_seconds = rate * MONTH_S * an_invocation_ms / 1_000 / 2
    search_ms = mine.search_api_us / 1_000 * slow + mine.query_answer_ms
    searching = load.searches_per_second * search_ms / 1_000
    is_ |= {
        "memory_mib": 512,
        "table_batch": table_batch,
        "table_batching_s": 1,
        "index_batch": index_batch,
        "index_batching_s": 0,
        "stretch": slow,
        "table_record_us": table_step * longer,
        "table_fixed_us": table_start,
        "index_record_us": index_step * longer,
        "index_fixed_us": index_start,
        "table_full_ms": table_ms,
        "document_answer_ms": a_document,
        "index_full_ms": index_ms,
        "table_lane_events_per_second": table_lane,
        "index_lane_events_per_second": index_lane,
        "shards": shards,
        "parallelization": lanes,
        "concurrency": shards * lanes * 2,
        "consumer_invocations_per_second": rate,
        "batch_events": in_batch,
        "consumer_gb_seconds": gb_seconds,
        "search_ms": search_ms,
        "search_rate": max(20, math.ceil(load.searches_per_second)),
        "search_concurrency": searching,
    }

    # stream
    a_day_gb = mean * size * 86_400 / 1e9
    long = a_day_gb * max(0, load.retention_days - 7) * cost.long_retention_gb_month_dollars
    provisioned = (
        shards * HOURS * cost.shard_hour_dollars
        + shards * HOURS * cost.extended_shard_hour_dollars
        + mean * MONTH_S * math.ceil(size / 25_600) / 1e6 * cost.put_unit_million_dollars
        + long
    )
    billed_day_gb = mean * math.ceil(size / 1_024) * 1_024 * 86_400 / 1e9
    on_demand = (
        HOURS * cost.on_demand_stream_hour_dollars
        + billed_day_gb * 365 / 12 * cost.on_demand_gb_in_dollars
        + billed_day_gb * 365 / 12 * 2 * cost.on_demand_gb_out_dollars
        + billed_day_gb
        * (min(7, load.retention_days) - 1)
        * cost.on_demand_extended_gb_month_dollars
        + long
    )
    is_provisioned = provisioned <= on_demand
    is_ |= {
        "long_retention_dollars": long,
        "provisioned_stream_dollars": provisioned,
        "on_demand_gb": billed_day_gb * 365 / 12,
        "on_demand_stream_dollars": on_demand,
        "stream_mode": "provisioned" if is_provisioned else "on-demand",
    }

    # table
    item = size + 674 - 585
    units = math.ceil(item / 1_024)
    reserved = math.ceil(need * units / room)
    audit_units = (load.images * item + dead * 260) / 4_096
    audit_rate = max(200, math.ceil(audit_units / (6 * 3_600)))
    paid_by_use = (
        mean * units * MONTH_S / 1e6 * cost.write_million_dollars
        + audit_units * HOURS / 24 / 1e6 * cost.read_million_dollars
    )
    paid_by_hour = HOURS * (
        reserved * cost.write_unit_hour_dollars + audit_rate * cost.read_unit_hour_dollars
    )
    table_gb = (load.images * (item + 100) + dead * (260 + 100)) / 1e9
    audit_s = max(audit_units / audit_rate, entries / 140_000 * 1769 / 1024)
    is_ |= {
        "item_bytes": item,
        "units_per_write": units,
        "mean_write_units": mean * units,
        "provisioned_write_units": reserved,
        "audit_units": audit_units,
        "audit_read_units": audit_rate,
        "provisioned_read_units": audit_rate,
        "on_demand_units_dollars": paid_by_use,
        "provisioned_units_dollars": paid_by_hour,
        "table_capacity": "on-demand" if paid_by_use < paid_by_hour else "provisioned",
        "table_gb": table_gb,
        "audit_s": audit_s,
    }

    # dollars
    log_gb = 2 * rate * MONTH_S * 700 / 1e9
    items: dict[str, float] = {
        "stream_dollars": min(provisioned, on_demand),
        "consumers_dollars": 2 * rate * MONTH_S * cost.invocation_million_dollars / 1e6
        + gb_seconds * cost.gb_second_dollars,
        "units_dollars": min(paid_by_use, paid_by_hour),
        "table_storage_dollars": table_gb * cost.table_gb_month_dollars,
        "nodes_dollars": nodes * HOURS * node["hour_dollars"],
        "disks_dollars": nodes * disk_each * GIB / 1e9 * cost.disk_gb_month_dollars,
        "search_dollars": load.searches_per_second
        * MONTH_S
        * (
            cost.api_million_dollars / 1e6
            + cost.invocation_million_dollars / 1e6
            + search_ms / 1_000 / 2 * cost.gb_second_dollars
        ),
        "audit_dollars": 365
        / 12
        * (
            audit_s * cost.gb_second_dollars
            + math.ceil(entries / 1e6) * 36 * cost.put_thousand_dollars / 1_000
            + 337 * (entries / 1e6) ** 2 * cost.get_thousand_dollars / 1_000
        )
        + entries * 182 / 1e9 * cost.bucket_gb_month_dollars,
        "logs_dollars": log_gb * cost.log_gb_dollars
        + log_gb * 30 / (365 / 12) * cost.log_gb_month_dollars,
        "metrics_dollars": (9 + 9 + 6 + 3) * cost.metric_month_dollars
        + cost.dashboard_month_dollars,
        "alarms_dollars": 5.4,
    }
    is_ |= {"log_gb": log_gb, **items, "month_dollars": sum(items.values())}

    # after an outage
    backlog = load.outage_hours * 3_600 * mean
    readable = shards * 2**21 / size - mean
    writable = min(reserved, 40_000) if paid_by_hour <= paid_by_use else 40_000
    domain = (used * node["vcpus"] - load.searches_per_second * 22 / 1_000) / (
        2 * document_ms / 1_000
    )
    table_rate = min(shards * lanes * table_lane, readable, writable / units)
    index_rate = min(shards * lanes * index_lane, readable, max(0, domain))
    is_ |= {
        "backlog_events": backlog,
        "read_events_per_second": readable,
        "table_drain_events_per_second": table_rate,
        "domain_events_per_second": max(0, domain),
        "index_drain_events_per_second": index_rate,
        "table_catch_up_s": backlog / (table_rate - mean) if table_rate > mean else "never",
        "index_catch_up_s": backlog / (index_rate - mean) if index_rate > mean else "never",
    }

    # a hot image
    one_shard = min(1_000, 2**20 / size)
    hot_table = table_batch / (table_work + aws.table_answer_ms) * 1_000
    hot_index = index_batch / (index_work + a_document) * 1_000
    hot = min(one_shard, hot_table, hot_index)
    is_ |= {
        "hot_stream_events_per_second": one_shard,
        "hot_table_events_per_second": hot_table,
        "hot_index_events_per_second": hot_index,
        "hot_events_per_second": hot,
        "hot_table_writes_per_second": hot / table_batch,
        "hot_index_writes_per_second": hot / index_batch,
    }

    # limits and growth
    of_shards: dict[str, float] = {
        "shards_limit": shards * one_shard,
        "table_lanes_limit": shards * lanes * table_lane,
        "index_lanes_limit": shards * lanes * index_lane,
        "reads_limit": shards * 2**21 / size / 2,
        "template_shards_limit": 500 * one_shard,
        "account_shards_limit": 20_000 * one_shard,
    }
    is_ |= {name: at if is_provisioned else "none" for name, at in of_shards.items()}
    holds = (disk_each * used * 0.95 * 0.8 / 4 * GIB - dead * 450) / an_image
    growth = max(0, (1 - load.update_share - 2 * load.deletion_share) * mean * MONTH_S)
    is_ |= {
        "domain_limit": max(0, domain),
        "table_units_limit": writable / units,
        "on_demand_limit": "none" if is_provisioned else 1e10 / size,
        "concurrency_limit": max(0, 1_000 - searching) / 2 * slower,
        "nodes_limit": 80 * node["vcpus"] / (2 * document_ms / 1_000),
        "primaries_limit": 100 * room / (document_ms / 1_000),
        "disk_images": holds,
        "growth_images_per_month": growth,
        "full_months": (holds - load.images) / growth if growth else "never",
    }
    return is_


@pytest.mark.parametrize("load", LOADS)
def test_every_figure_follows_from_the_sources(load: ExpectedLoad) -> None:
    planned = plan(load, measured(), own_prices())
    expected = calculated(load)
    assert [one.name for one in planned.figures if one.name not in expected] == []
    assert expected.keys() - {one.name for one in planned.figures} == set()
    for one in planned.figures:
        known = expected[one.name]
        wanted = known if isinstance(known, str) else pytest.approx(known, rel=1e-9)
        assert one.value == wanted, one.name


@pytest.mark.parametrize("load", LOADS)
def test_the_nodes_with_shards_follow_from_what_is_said_of_them(load: ExpectedLoad) -> None:
    values = {one.name: one.value for one in plan(load, measured(), own_prices()).figures}
    assert value_of(CHOICES["used_nodes"][2], values) == values["used_nodes"]


@pytest.mark.parametrize("load", LOADS)
def test_the_first_limit_is_the_lowest(load: ExpectedLoad) -> None:
    planned = plan(load, measured(), own_prices())
    limits = {
        one.name: one.value
        for one in planned.figures
        if one.section == "limits" and not isinstance(one.value, str)
    }
    assert limits[planned.first_limit] == min(limits.values())


def test_the_loads_meet_both_modes_and_both_capacities() -> None:
    """Otherwise, half of the formulas would be tested only."""
    plans = [
        {one.name: one.value for one in plan(load, measured(), own_prices()).figures}
        for load in LOADS
    ]
    for name in ("stream_mode", "table_capacity"):
        assert {one[name] for one in plans} >= {"provisioned", "on-demand"}
    assert len({one["node_type"] for one in plans}) > 2
    assert len({one["parallelization"] for one in plans}) > 1


def test_a_planned_stack_takes_its_peak_and_catches_up() -> None:
    for load in (A_SMALL_ONE, A_LARGE_ONE):
        values = {one.name: one.value for one in plan(load, measured(), own_prices()).figures}
        first = min(
            value
            for name, value in values.items()
            if name.endswith("_limit") and not isinstance(value, str)
        )
        assert first >= load.peak_events_per_second * 0.999
        assert not isinstance(values["table_catch_up_s"], str)
        assert not isinstance(values["index_catch_up_s"], str)


def test_every_source_that_a_formula_names_is_listed() -> None:
    planned = plan(A_LARGE_ONE, measured(), own_prices())
    listed = {one.name: one for one in planned.sources}
    assert (
        listed["shard_hour_dollars"].source
        == "https://aws.amazon.com/kinesis/data-streams/pricing/"
    )
    assert not listed["shard_hour_dollars"].checked
    assert listed["writer_batch_us"].source == "docs/internals/speed.md"
    unused = {*measured(), *own_prices().prices, *own_prices().limits} - listed.keys()
    assert unused == set()


def test_the_smallest_and_the_largest_loads_have_finite_figures() -> None:
    for rate, size, images, searches, days in product(
        (0.001, 1e9), (1, 2**20), (1, 1e12), (0, 1e6), (2, 30)
    ):
        load = ExpectedLoad(
            mean_events_per_second=rate,
            peak_events_per_second=1e9,
            event_bytes=size,
            images=images,
            update_share=0.9,
            deletion_share=0.04,
            searches_per_second=searches,
            retention_days=days,
            outage_hours=24,
        )
        for one in plan(load, measured(), own_prices()).figures:
            assert isinstance(one.value, str) or math.isfinite(one.value), (one.name, load)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"peak_events_per_second": 1.0}, "the peak (1 events a second) is below the mean (1000)"),
        ({"deletion_share": 0.2}, "more than 100 percent"),
        ({"retention_days": 2.0, "outage_hours": 25.0}, "a store may be down for 24 hours"),
        ({"retention_days": 30.0, "outage_hours": 169.0}, "a store may be down for 168 hours"),
    ],
)
def test_a_load_that_contradicts_itself_is_refused(changed: dict[str, float], said: str) -> None:
    fields = {name: getattr(A_LARGE_ONE, name) for name in A_LARGE_ONE.__struct_fields__}
    with pytest.raises(LoadRefusedError) as refused:
        plan(ExpectedLoad(**{**fields, **changed}), measured(), own_prices())
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)
