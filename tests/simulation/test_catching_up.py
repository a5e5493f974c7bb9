"""The formula of the time to catch up agrees with the event source mapping's own core.

Functions and stores take as long as the plan says. The core cuts the batches, invokes, and reads.
"""

import functools
import math
from collections.abc import Mapping, Sequence

import msgspec
import pytest

from lockstep.local.mapping.batch import BatchRecord
from lockstep.local.mapping.settings import Settings
from lockstep.plan.catching_up import catch_up_s
from lockstep.plan.expected import ExpectedLoad
from lockstep.plan.planning import plan
from lockstep.plan.sources import measured, own_prices
from tests.simulation.virtual_stack import Store, Work, Worker, catch_up_times

# Of each shard.
EVENTS_PER_SECOND = 100
SIZES = [1, 10, 100, 1_000]
# The larger a stack, the shorter the outage, because all records are processed here. Shorter ones
# end within a few batches, which no formula of rates describes.
OUTAGES_S = {1: 600, 10: 300, 100: 90, 1_000: 40}
STORES = ["table", "index"]
# A refused record is put into the quarantine: a choice for this test, which both sides get.
QUARANTINE_S = 0.01
POISON_EVERY = 20
HOT = "hot"
HOT_EVENTS_PER_SECOND = 300


@functools.cache
def planned(shards: int) -> Mapping[str, float]:
    """The figures of a plan with so many shards."""
    load = ExpectedLoad(
        mean_events_per_second=EVENTS_PER_SECOND * shards,
        peak_events_per_second=800 * shards,
        event_bytes=585,
        images=1_000_000 * shards,
        update_share=1,
        deletion_share=0,
        searches_per_second=0,
        retention_days=7,
        outage_hours=OUTAGES_S[shards] / 3600,
    )
    prices = own_prices()
    if shards == max(SIZES):
        # The quota of a table would never let it catch up: AWS raises it.
        quota = msgspec.structs.replace(prices.limits["table_write_units"], value=1e7)
        limits = {**prices.limits, "table_write_units": quota}
        prices = msgspec.structs.replace(prices, limits=limits)
    made = plan(load, measured(), prices)
    found = {one.name: one.value for one in made.figures} | {
        one.name: one.value for one in made.sources
    }
    assert found["shards"] == shards
    return {name: value for name, value in found.items() if not isinstance(value, str)}


def records(outage: float, *, poison: int = 0, hot: float = 0) -> Sequence[BatchRecord]:
    """The records of a shard during an outage that ends at 0, and for as long after it.

    Args:
        outage: in seconds.
        poison: each record of this number is refused; 0: none.
        hot: events a second of the hot image, beside the others.
    """
    rate = EVENTS_PER_SECOND + hot
    made, of_hot = [], 0.0
    for at in range(int(2 * outage * rate)):
        of_hot += hot / rate
        is_hot = of_hot >= 1
        of_hot -= is_hot
        key = HOT if is_hot else f"image-{at}"
        data = b"poison" if poison and at % poison == 0 else b""
        made.append(BatchRecord(str(at), key, at / rate - outage, b"", data))
    return made


def worker(of: Mapping[str, float], store: str) -> Worker:
    """What an invocation costs, by the same measurements as the plan."""

    def table(batch: Sequence[BatchRecord]) -> Work:
        written = len({one.partition_key for one in batch})
        us = of["table_fixed_us"] + len(batch) * of["table_record_us"]
        return Work(
            us / 1e6 * of["stretch"] + refused(batch),
            math.ceil(written / of["statements_per_request"]) * of["table_answer_ms"] / 1e3,
            written,
        )

    def index(batch: Sequence[BatchRecord]) -> Work:
        written = len({one.partition_key for one in batch})
        us = of["index_fixed_us"] + len(batch) * of["index_record_us"]
        answer = written * of["document_answer_ms"] / 1e3
        return Work(us / 1e6 * of["stretch"] + refused(batch), answer, written)

    def refused(batch: Sequence[BatchRecord]) -> float:
        return QUARANTINE_S * sum(one.data == b"poison" for one in batch)

    return table if store == "table" else index


def settings(of: Mapping[str, float], store: str) -> Settings:
    return Settings(
        batch_size=round(of[f"{store}_batch"]),
        window_seconds=round(of[f"{store}_batching_s"]),
        parallelization_factor=round(of["parallelization"]),
        reports_item_failures=True,
    )


def seen(shards: int, store: str, takes: float, *special: Sequence[BatchRecord]) -> Sequence[float]:
    """The time of each shard in virtual time; the last ones are special."""
    of = planned(shards)
    plain = [records(OUTAGES_S[shards])] * (shards - len(special))
    return catch_up_times(settings(of, store), [*plain, *special], worker(of, store), Store(takes))


def flat(rate: float, shards: int, drain: float) -> float:
    """The time to catch up at this rate of events, by the formula of a plan."""
    seconds = catch_up_s([rate] * 24, OUTAGES_S[shards] / 3600, drain)
    assert not isinstance(seconds, str)
    return seconds


def of_poison(shards: int, store: str) -> float:
    """For a shard with refused records: its lanes write the quarantine, too."""
    of = planned(shards)
    batch = of[f"{store}_batch"]
    lane = batch / (of[f"{store}_full_ms"] / 1e3 + batch / POISON_EVERY * QUARANTINE_S)
    return flat(EVENTS_PER_SECOND, shards, of["parallelization"] * lane)


def of_hot(shards: int, store: str) -> float:
    """For the lane of a hot image: a batch writes the image once, and all others."""
    of = planned(shards)
    others = EVENTS_PER_SECOND / of["parallelization"]
    rate, batch = others + HOT_EVENTS_PER_SECOND, of[f"{store}_batch"]
    written = batch * others / rate + 1
    ms = (of[f"{store}_fixed_us"] + batch * of[f"{store}_record_us"]) / 1e3 * of["stretch"]
    if store == "table":
        ms += math.ceil(written / of["statements_per_request"]) * of["table_answer_ms"]
    else:
        ms += written * of["document_answer_ms"]
    return flat(rate, shards, batch / ms * 1e3)


@pytest.mark.parametrize("store", STORES)
@pytest.mark.parametrize("shards", SIZES)
def test_the_plan_agrees_with_the_core(shards: int, store: str) -> None:
    """Whether the lanes or the store bound the drain."""
    of = planned(shards)
    takes = of["table_units_limit" if store == "table" else "domain_events_per_second"]
    assert max(seen(shards, store, takes)) == pytest.approx(of[f"{store}_catch_up_s"], rel=0.1)


@pytest.mark.parametrize("store", STORES)
@pytest.mark.parametrize("shards", SIZES)
def test_poison_and_a_hot_image_delay_their_own_shards_as_the_formula_says(
    shards: int, store: str
) -> None:
    outage = OUTAGES_S[shards]
    poison = records(outage, poison=POISON_EVERY)
    hot = records(outage, hot=HOT_EVENTS_PER_SECOND)
    if shards == 1:
        times = [seen(1, store, math.inf, one)[0] for one in (poison, hot)]
    else:
        times = list(seen(shards, store, math.inf, poison, hot)[-2:])
    assert times == pytest.approx([of_poison(shards, store), of_hot(shards, store)], rel=0.1)
