"""The report as HTML: what it says, what it may load, and what text of a store cannot do."""

import re

import msgspec

from lockstep.audit.audit import Audit, Sample
from lockstep.repair.repair import Example, Repaired
from lockstep.reports.image_audit import verdict, with_repair
from lockstep.reports.page import html_of
from lockstep.stream.losses import StoppedConsumer
from tests.audited import NAMES, content_of, gathered_of, harmed, report_of
from tests.unit.audit.stand import Stand
from tests.unit.reports.elements import Elements, words

LARGEST_BYTES = 400_000


def test_text_of_the_stores_makes_no_element_and_no_address_is_loaded() -> None:
    html = html_of(report_of(harmed())).decode()
    elements = Elements(html).found
    assert {tag for tag, _ in elements}.isdisjoint({"script", "img", "link", "iframe", "form", "a"})
    loading = {"src", "href", "action", "style", "srcset", "data", "poster"}
    for tag, attributes in elements:
        assert loading.isdisjoint(attributes), tag
        assert not [name for name in attributes if name.startswith("on")], tag
    assert "{{" not in html.replace("{{ 7 * 7 }}", "")
    assert "\u202e" not in html


def test_the_policy_allows_nothing_but_the_style_of_the_template() -> None:
    html = html_of(report_of(harmed())).decode()
    (policy,) = [
        attributes["content"]
        for tag, attributes in Elements(html).found
        if attributes.get("http-equiv") == "Content-Security-Policy"
    ]
    assert re.fullmatch(
        r"default-src 'none'; style-src 'sha256-[\w+/]{43}='; base-uri 'none'; form-action 'none'",
        policy or "",
    )


def test_a_report_says_what_the_audit_the_repair_and_the_losses_say() -> None:
    content = report_of(harmed())
    text = words(content)
    plan = content.plan
    assert plan is not None
    entries = content.audit.entries
    assert f"table {entries['table']} index {entries['index']}" in text
    for kind, count in content.kinds:
        assert f"{kind} {content.words.meanings[kind]} {count}" in text  # no quarantine here
    for what, count in content.ahead.items():
        assert f"{what} {count}" in text
    for row in plan.planned:
        assert f"{row.kind} {row.action} {row.count}" in text
    assert f"{plan.changes} of {plan.of} images would be written" in text
    assert "write_to_es 3 2026-11-19T08:00:00Z 2026-11-20T08:00:00Z" in text
    assert "D00045 write_to_es refused_by_store the index refused it" in text
    assert "`lockstep audit --repair --apply --stack museum` makes the repair" in text
    for name in ("北斎 神奈川沖浪裏", NAMES[2], "(blank: U+200B)"):
        assert name in text


def test_the_timeline_is_also_a_table_with_all_its_numbers() -> None:
    content = report_of(harmed())
    text = words(content)
    for bar in content.over_time.bars:
        if bar.counts:
            numbers = " ".join(str(bar.counts.get(kind, 0)) for kind, _ in content.kinds)
            assert f"{bar.begins:%Y-%m-%dT%H:%M:%S}Z {numbers}" in text
    assert sum(sum(bar.counts.values()) for bar in content.over_time.bars) == sum(
        count for _, count in content.kinds
    )


def test_equal_stores_are_a_short_report_without_differences() -> None:
    gathered, found = gathered_of(Stand())
    text = words(content_of(Stand(), msgspec.structs.replace(found, losses=()), gathered, None))
    assert "The table and the index are equal" in text
    assert "Differences" not in text
    assert "Examples" not in text


def test_a_repair_is_told_with_the_audit_after_it() -> None:
    content = report_of(harmed())
    undecided = [Example(f"T{n}", "the item is malformed") for n in range(25)]
    done = Repaired(2, {"write_index": 70}, 9, undecided, [Example("<b>", "a shard is missing")])
    after = Audit("equal", table=306, index=306, differences={}, seconds=1.0)
    text = words(with_repair(content, done, after, []))
    assert "After the repair equal The table and the index are equal" in text
    assert "70 images were written, in 2 passes." in text
    assert "What the repair did" in text
    assert "decide by hand: T19 : the item is malformed decide by hand: 5 more" in text
    assert "not repaired: <b> : a shard is missing" in text


def test_each_result_has_words_and_a_wrong_index_is_never_good_news() -> None:
    unknown = Audit("unknown", 5, 4, {}, 1.0, reason="the index did not answer")
    sampled = Audit("equal", 5, 5, {}, 1.0, sample=Sample(3, 0.95, 0.25))
    wrong = Audit("equal", 5, 5, {}, 1.0, wrong=("alias images-live: no filter",))
    assert verdict(unknown).sentences == [
        "The comparison is not complete: the index did not answer."
    ]
    assert verdict(sampled).sentences == [
        "The audit compared 3 images. At most 25.00% of all images differ (95% confidence)."
    ]
    assert verdict(wrong).state == "different"
    assert verdict(Audit("different", 5, 5, {"conflict": 1}, 1.0)).heading == "1 image differs"


def test_a_consumer_that_does_not_read_is_told() -> None:
    content = report_of(harmed())
    stopped = (StoppedConsumer("write_to_es", "disabled", None),)
    assert "write_to_es does not read: disabled." in words(
        msgspec.structs.replace(content, losses=(), stopped=stopped)
    )


def test_the_size_of_a_report_does_not_follow_the_size_of_names() -> None:
    stand = harmed(["x" * 8_000 + f"{n}" for n in range(20)])
    html = html_of(report_of(stand))
    assert len(html) < LARGEST_BYTES
