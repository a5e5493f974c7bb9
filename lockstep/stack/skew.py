"""Skew: the busiest shard of a stack, and the images with the most records."""

import datetime as dt
import heapq
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from lockstep.stack.clients import Clients
from lockstep.stack.stack import StackNotFoundError
from lockstep.stream.backlog import counts
from shared.quarantine import TABLE_CONSUMER

if TYPE_CHECKING:
    from types_boto3_cloudwatch import CloudWatchClient

# The busiest shard of a deployed stack is that of so many seconds.
SHARE_SECONDS = 300
# Hot images are those of so many seconds.
HOT_SECONDS = 900
MOST_SHOWN = 10
# Of a million records, each image with more than a thousand is found.
COUNTERS = 1_000
# A page of CloudWatch Logs has at most 1 MB: https://docs.aws.amazon.com/
# AmazonCloudWatchLogs/latest/APIReference/API_FilterLogEvents.html
MOST_PAGES = 200
_PATTERN = '{ $.message = "batch" && $.hottest[0].records > 0 }'


class BusiestShard(msgspec.Struct, frozen=True):
    """The shard with the most records.

    Attributes:
        shard_id: its id.
        share: its share of all records, from 0 to 1.
        shards: how many shards are compared.
    """

    shard_id: str
    share: float
    shards: int

    @property
    def is_skewed(self) -> bool:
        """Whether it has more than half of all records, and more than twice its part of them."""
        return self.share > max(0.5, 2 / self.shards)


class HotImage(msgspec.Struct, frozen=True):
    """An image with many records.

    Attributes:
        image_id: its id as the logs show it: hashed, if they hash ids.
        records: how many records of it the batches had that named it, or a little more.
        at_most_too_many: how much more that is at most; 0: it is exact.
    """

    image_id: str
    records: int
    at_most_too_many: int


class SpaceSaving:
    """Counts what is most frequent in bounded memory: space-saving, by Metwally and others (2005).

    With n counted in all and so many counters: whatever was counted more than n / counters times is
    there, and no count is too small, nor too high by more than n / counters.

    Args:
        counters: how many names are counted at the same time.
    """

    def __init__(self, counters: int) -> None:
        self._most = counters
        self._counts: dict[str, tuple[int, int]] = {}

    def add(self, name: str, times: int) -> None:
        """Count a name so many times more."""
        known = self._counts.get(name)
        if known is not None:
            self._counts[name] = known[0] + times, known[1]
            return
        too_many = 0
        if len(self._counts) == self._most:
            lowest = min(self._counts, key=lambda one: self._counts[one][0])
            too_many, _ = self._counts.pop(lowest)
        self._counts[name] = too_many + times, too_many

    def most(self, number: int) -> Sequence[HotImage]:
        """The names with the highest counts, the highest first."""
        found = [HotImage(name, *known) for name, known in self._counts.items()]
        return heapq.nsmallest(number, found, key=lambda one: (-one.records, one.image_id))


class _BatchLine(msgspec.Struct, frozen=True):
    """The line `batch` of a consumer, as far as it matters here."""

    message: str
    timestamp: str
    hottest: tuple[Mapping[str, Any], ...] | None = None


def busiest_of(records: Mapping[str, float]) -> BusiestShard | None:
    """The busiest of these shards, by the records of each; None if there were none."""
    total = sum(records.values())
    if total <= 0:
        return None
    shard = max(records, key=lambda one: records[one])
    return BusiestShard(shard, records[shard] / total, len(records))


def rule_says(cloudwatch: "CloudWatchClient", rule: str, end: float) -> BusiestShard | None:
    """The busiest shard of the last minutes, as the table's consumer counts records.

    Args:
        cloudwatch: a client of CloudWatch.
        rule: the name of the rule that counts.
        end: when the minutes end, in seconds since 1970.

    Returns:
        None if nothing arrived.
    """
    answer = cloudwatch.get_insight_rule_report(
        RuleName=rule,
        StartTime=dt.datetime.fromtimestamp(end - SHARE_SECONDS, dt.UTC),
        EndTime=dt.datetime.fromtimestamp(end, dt.UTC),
        Period=SHARE_SECONDS,
        MaxContributorCount=1,
    )
    total, found = answer.get("AggregateValue", 0.0), answer.get("Contributors", [])
    if not found or total <= 0:
        return None
    first = found[0]
    return BusiestShard(
        first["Keys"][0],
        first["ApproximateAggregateValue"] / total,
        answer.get("ApproximateUniqueCount", len(found)),
    )


def busiest_shard(clients: Clients) -> BusiestShard | None:
    """The busiest shard of a stack: of the last minutes, or since a local stream was made.

    None if nothing arrived, and of a deployed stack without alarms, which does not count.

    Raises:
        UnknownBacklogError: the file of the local stream cannot be read.
    """
    stack = clients.stack
    if stack.state is not None:
        found = counts(Path(stack.state) / "kinesis.db", stack.stream, {})
        return busiest_of({one: found.arrived[one] for one in found.open_shards})
    if stack.shard_rule is None:
        return None
    return rule_says(clients.cloudwatch, stack.shard_rule, clients.clock.now())


def hot_images(clients: Clients) -> Sequence[HotImage]:
    """The images with the most records of the last minutes, as the table's consumer logs them.

    A batch names an image with at least ten records, and at most three. Of a deployed stack, at
    most `MOST_PAGES` pages of the log are read.

    Raises:
        StackNotFoundError: the stack does not name its log groups.
    """
    since = clients.clock.now() - HOT_SECONDS
    found = SpaceSaving(COUNTERS)
    for line in _lines(clients, since):
        # A process that ended may have left a part of a line.
        with suppress(msgspec.MsgspecError, ValueError):
            batch = msgspec.json.decode(line, type=_BatchLine)
            if dt.datetime.fromisoformat(batch.timestamp).timestamp() >= since:
                for one in batch.hottest or ():
                    found.add(one["image_id"], one["records"])
    return found.most(MOST_SHOWN)


def _lines(clients: Clients, since: float) -> Iterator[bytes]:
    stack = clients.stack
    if stack.state is not None:
        return _local_lines(Path(stack.state) / "logs" / f"{TABLE_CONSUMER}.log")
    if TABLE_CONSUMER not in stack.log_groups:
        raise StackNotFoundError("the stack does not name its log groups: deploy this release")
    pages = clients.logs.get_paginator("filter_log_events").paginate(
        logGroupName=stack.log_groups[TABLE_CONSUMER],
        filterPattern=_PATTERN,
        startTime=round(since * 1000),
    )
    return _logged(pages)


def _logged(pages: Iterable[Any]) -> Iterator[bytes]:
    for _, page in zip(range(MOST_PAGES), pages, strict=False):
        for event in page["events"]:
            yield event["message"].encode()


def _local_lines(file: Path) -> Iterator[bytes]:
    with suppress(FileNotFoundError), file.open("rb") as log:
        for line in log:
            if b'"hottest"' in line:
                yield line
