"""The guide: its picture is what the screen shows, and its table has the fields of a line."""

import re
from pathlib import Path

import msgspec

from lockstep.watching.lines import Line
from lockstep.watching.screen import draw
from lockstep.watching.seen import AlarmOn, Seen, SeenAlarms, SeenQuarantine
from tests.unit.watching.states import NONE_DISCARDED, consumer, seen, stream
from tests.unit.watching.test_conditions import TROUBLE

GUIDE = (Path(__file__).parents[3] / "docs" / "guides" / "watch.md").read_text()


def the_index_takes_nothing() -> Seen:
    arrivals = (*(20.0 + at % 7 for at in range(60)), *(25.0,) * 20, *(30.0,) * 12)
    table = consumer(
        per_second=24.8, backlog_records=12, rates=arrivals, lags=(400.0, 600.0, 200.0) * 20
    )
    index = consumer(
        per_second=0.0,
        backlog_records=2310,
        lag_ms=991_000,
        rates=(*(24.0,) * 5, *(0.0,) * 11),
        lags=tuple(980_000.0 + 1000 * at for at in range(11)),
    )
    named = ("lags-index", "quarantine-waiting")
    return seen(
        stream=stream(
            arrivals_per_second=25.0,
            arrivals=arrivals,
            consumers={"write_to_dynamodb": table, "write_to_es": index},
        ),
        quarantine=SeenQuarantine(3, NONE_DISCARDED, 0),
        alarms=SeenAlarms(tuple(AlarmOn(name, TROUBLE[name][1]) for name in named), off=11),
    )


def test_the_picture_of_the_guide_is_the_screen() -> None:
    text = draw(the_index_takes_nothing(), ".lockstep", width=80, height=24).plain
    assert f"```\n{text}\n```" in GUIDE, f"put this into the guide:\n{text}"


def test_the_table_of_the_guide_has_each_field_of_a_line() -> None:
    (table,) = re.findall(r"^\| field \| what it is \|\n((?:\|.*\n)+)", GUIDE, re.MULTILINE)
    fields = [cell for row in table.splitlines()[1:] for cell in row.split("|")[1].split("`")[1::2]]
    assert fields == [field.name for field in msgspec.structs.fields(Line)] == fields


def test_the_guide_names_each_alarm_of_a_local_stack() -> None:
    section = GUIDE.partition("## Alarms of a local stack")[2].partition("\n## ")[0]
    named = set(re.findall(r"`([a-z-]+)`", section)) - {"watch"}
    stores = re.compile("-(index|table)$")
    assert named == {stores.sub("", one) for one in (*TROUBLE, "discarded-index")}
