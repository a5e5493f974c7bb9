"""The lines where there is no terminal, and those for programs."""

import msgspec

from lockstep.watching import words
from lockstep.watching.lines import Line, json_line, text_line
from lockstep.watching.seen import Seen, SeenAlarms, SeenAudit, SeenShards
from tests.unit.watching.states import MOMENT, NOW, consumer, seen, stream


def test_a_line_for_programs_has_each_figure_and_no_history() -> None:
    made = msgspec.json.decode(msgspec.json.encode(json_line(seen(), "lockstep")))
    assert made == {
        "at": "2026-11-30T00:53:20Z",
        "stack": "lockstep",
        "metrics_until": "2026-11-30T00:53:20Z",
        "shards": {"open": 4, "busiest": "shardId-000000000002", "busiest_share": 0.31},
        "arrivals_per_second": 1234.5,
        "consumers": {
            name: {
                "per_second": 118.4,
                "backlog_records": 60,
                "lag_ms": 400,
                "reads": True,
            }
            for name in ("write_to_dynamodb", "write_to_es")
        },
        "quarantine": {
            "records": 3,
            "discarded": {"write_to_dynamodb": 0, "write_to_es": 2},
            "over_60_days": 0,
        },
        "audit": {
            "result": "equal",
            "ended": "2026-11-29T23:53:20Z",
            "images": 69_202,
            "different": 0,
            "running": None,
        },
        "alarms": {
            "on": [{"name": "quarantine-waiting", "says": "records wait", "since": None}],
            "off": 12,
            "unknown": 0,
        },
        "errors": {},
    }
    assert msgspec.convert(made, Line) == json_line(seen(), "lockstep")


def test_what_could_not_be_read_is_null_with_a_reason() -> None:
    made = json_line(Seen(NOW, errors={"stream": "no stream"}), "s")
    assert (made.shards, made.metrics_until, made.consumers) == (None, None, {})
    assert made.errors == {"stream": "no stream"}


def test_without_a_terminal_a_look_is_one_line() -> None:
    assert text_line(seen()) == (
        "2026-11-30T00:53:20Z arrivals 1,234/s; "
        "shards 4 open, the busiest gets 31 % (shardId-000000000002); "
        "write_to_dynamodb 118/s, lag 0.4 s; write_to_es 118/s, lag 0.4 s; "
        "in quarantine 3, discarded batches: 2; "
        "last audit equal, 69,202 entries, 2026-11-29T23:53:20Z; "
        "alarms 1 of 13 on: quarantine-waiting"
    )
    stopped = stream(consumers={"write_to_es": consumer(reads=False, lag_ms=None)})
    told = text_line(Seen(NOW, stream=stopped, errors={"index": "a\nb", "audit": "a\nb"}))
    assert told.endswith(
        "write_to_es 118/s, lag unknown, does not read; index, audit unknown: a\\nb"
    )


def test_figures_are_short() -> None:
    assert [words.rate(one) for one in (None, 0.0, 0.25, 99.94, 1234.5)] == [
        "unknown",
        "0/s",
        "0.2/s",
        "99.9/s",
        "1,234/s",
    ]
    assert [words.lag(one) for one in (None, 0, 1450, 7_200_000)] == [
        "unknown",
        "0.0 s",
        "1.4 s",
        "2.0 h",
    ]
    assert words.shards(SeenShards(2)) == "2 open"
    assert words.shards(SeenShards(2, None, 0.5)) == "2 open, the busiest gets 50 %"


def test_the_last_audit_is_told_with_what_it_found_and_what_runs() -> None:
    assert words.audit(SeenAudit()) == "none has run by itself"
    running = SeenAudit("different", MOMENT, images=10, different=2, running="compare")
    assert words.audit(running) == (
        "different, 2 images, 10 entries, 2026-11-29T23:53:20Z; one runs now (compare)"
    )


def test_a_stack_without_alarms_says_so() -> None:
    assert words.alarms(SeenAlarms((), 0)) == "the stack has none"
    assert words.alarms(SeenAlarms((), 3, 1)) == "none of 4 on, unknown: 1"
