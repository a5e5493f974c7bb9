"""What a month costs, on the page of the speed, is computed from the figures of that page."""

from pathlib import Path

import pytest

from benchmarks.speed import month

PAGE = (Path(__file__).parents[3] / "docs" / "internals" / "speed.md").read_text()


def test_the_section_of_the_page_follows_from_its_figures() -> None:
    assert month.section(PAGE) in PAGE


def test_a_record_of_one_microsecond_costs_its_share_of_a_month() -> None:
    # 2,592 seconds of one processor, which has 1,769 MB.
    a_microsecond = month.INSTRUCTIONS_A_SECOND * 1e-6
    assert month.dollars(a_microsecond) == pytest.approx(2_592 * 1.7275390625 * 0.0000166667)


def test_a_page_with_another_figure_has_another_cost() -> None:
    row = "writer, 100 a batch | instructions a record | "
    assert row in PAGE
    assert month.section(PAGE.replace(row, row + "9")) != month.section(PAGE)
