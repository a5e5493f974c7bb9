"""What a month of 1,000 records a second costs in Lambda time, by the figures of the page.

python -m benchmarks.speed.month PAGE
"""

import re
import sys
import textwrap
from collections.abc import Mapping
from pathlib import Path

HEADING = "## What a month costs"
RECORDS = 1_000 * 86_400 * 30
BATCH = 100
# A function with 1,769 MB has one processor, and with less memory the same share of one:
# https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html
MIB_OF_A_PROCESSOR = 1_769
# https://aws.amazon.com/lambda/pricing/ (x86, US East, the first 6 billion GB-seconds of a month)
DOLLARS_A_GB_SECOND = 0.0000166667
DOLLARS_A_MILLION_REQUESTS = 0.20
# The table's consumer at commit 9e0ca36: its instructions took this time.
INSTRUCTIONS_A_SECOND = 1_028_000 / 158e-6
# Instructions a record at commit 9e0ca36, with 100 records a batch.
BEFORE: Mapping[str, float] = {"writer": 1_028_000, "indexer": 286_000}

_FORMULA = (
    "dollars = {records:,} records x instructions a record / {rate:.2f} billion instructions a "
    "second x {processor:,} / 1,024 GB x {price:.10f} dollars a GB-second. The rate is that of our "
    "machine: the table's consumer took 158 us for 1,028 k instructions. A function has one "
    "processor at [1,769 MB]"
    "(https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html), and a share of it "
    "with less memory, so the size of the memory cancels out. "
    "[The price](https://aws.amazon.com/lambda/pricing/) is that of x86 in US East. Each consumer "
    "also pays {requests:.2f} dollars for its invocations, and for the time in which it waits for "
    "its store; neither depends on instructions."
)

_SIZES = {"k": 1e3, "M": 1e6, "G": 1e9}
_ROW = (
    r"^\| {consumer}, 100 a batch \| [^|]+ \| ([0-9.]+) ([kMG])[^|]*\| documented ([0-9.]+) ([kMG])"
)


def dollars(instructions: float) -> float:
    """The price of the processor time of a month, if a record takes so many instructions.

    A function gets processor time by its memory, and pays for memory by time. So the size of its
    memory does not matter.
    """
    seconds = RECORDS * instructions / INSTRUCTIONS_A_SECOND
    return seconds * MIB_OF_A_PROCESSOR / 1024 * DOLLARS_A_GB_SECOND


def _figures(page: str, consumer: str) -> tuple[float, float]:
    """Instructions a record of a consumer on the page: ours, and of the documented one."""
    found = re.search(_ROW.format(consumer=consumer), page, re.MULTILINE)
    if found is None:
        sys.exit(f"the page has no figure of the {consumer} with 100 records a batch")
    ours, its, documented, theirs = found.groups()
    return float(ours) * _SIZES[its], float(documented) * _SIZES[theirs]


def section(page: str) -> str:
    """The section, in Markdown, from the figures of a page."""
    lines = [
        HEADING,
        "",
        "The processor time of Lambda for 1,000 records a second in 30 days, in US dollars:",
        "",
        "| consumer, 100 records a batch | documented | before (9e0ca36) | now |",
        "| --- | ---: | ---: | ---: |",
    ]
    for consumer, before in BEFORE.items():
        now, documented = _figures(page, consumer)
        cells = " | ".join(f"{dollars(one):.2f}" for one in (documented, before, now))
        lines.append(f"| {consumer} | {cells} |")
    table = "\n".join(lines)
    text = _FORMULA.format(
        records=RECORDS,
        rate=INSTRUCTIONS_A_SECOND / 1e9,
        processor=MIB_OF_A_PROCESSOR,
        price=DOLLARS_A_GB_SECOND,
        requests=RECORDS / BATCH / 1e6 * DOLLARS_A_MILLION_REQUESTS,
    )
    return f"{table}\n\n{textwrap.fill(text, 100, break_long_words=False, break_on_hyphens=False)}"


def main() -> None:
    """Replace the section of a page, by the figures of that page."""
    file = Path(sys.argv[1])
    page = file.read_text("utf-8")
    before, _, rest = page.partition(HEADING)
    _, mark, after = rest.partition("\n## ")
    file.write_text(f"{before.rstrip()}\n\n{section(page)}\n{mark}{after}", "utf-8")


if __name__ == "__main__":
    main()
