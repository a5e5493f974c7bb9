"""The search finds relevant images at least as well as when the figures were last accepted."""

import uuid
from collections import Counter

import pytest
from opensearchpy import OpenSearch

from tests.real_images import RealImages
from tools.relevance.figures import (
    Figures,
    Measured,
    accepted_figures,
    figures_of,
    own_words_unmet,
    table,
    wrong,
)
from tools.relevance.generated import Judged
from tools.relevance.index import measured_behind, measured_in
from tools.relevance.judged import judged
from tools.relevance.made_up import judged_names, made_up_events, own_words


def test_what_must_be_found_is_found_as_well_as_it_was(
    opensearch_endpoint: str, real_images: RealImages
) -> None:
    client = OpenSearch([opensearch_endpoint], timeout=120, max_retries=0)
    alias = f"judged-{uuid.uuid4()}"
    real_images.copy_to(alias)
    real = measured_behind(client, alias, judged())
    client.indices.delete(index=f"{alias}-000001")
    names = measured_in(client, made_up_events(), judged_names())
    # Shown by `make contract` when this fails.
    print("\n".join([*table(real), *table(names)]))  # noqa: T201
    assert wrong([*real, *names], accepted_figures()) == []
    assert own_words_unmet(names, own_words()) == []


def test_each_class_asks_enough_to_be_told_from_chance() -> None:
    by_hand_or_made = Counter(one.kind for one in judged())
    assert len(judged()) >= 120
    assert {kind for kind, count in by_hand_or_made.items() if count < 5} == set()


def test_every_query_says_why() -> None:
    assert [one.query for one in judged() if len(one.because.split()) < 2] == []


@pytest.mark.parametrize(
    ("shown", "relevant", "figures"),
    [
        (["a"], {"a"}, Figures(1.0, 1.0, 1.0)),
        (["b", "a"], {"a"}, Figures(0.5, 1.0, 0.5)),
        (["b", "a"], {"a", "c"}, Figures(0.5, 0.5, 0.5)),
        (["b"], {"a"}, Figures(0.0, 0.0, 0.0)),
        ([], {"a"}, Figures(0.0, 0.0, 0.0)),
        (list("abcdefghij"), set("abcdefghijklm"), Figures(1.0, 1.0, 1.0)),
    ],
)
def test_a_querys_figures(shown: list[str], relevant: set[str], figures: Figures) -> None:
    assert figures_of(shown, frozenset(relevant)) == figures


class TestComparedWithTheAccepted:
    GOOD = Figures(1.0, 1.0, 0.5)

    def measured(self, figures: Figures, kind: str = "word forms") -> Measured:
        return Measured(Judged(kind, "churches", frozenset({"T1"}), "as it was"), figures)

    def test_the_same_is_right(self) -> None:
        accepted = {("word forms", "churches"): self.GOOD}
        assert wrong([self.measured(self.GOOD)], accepted) == []

    def test_better_is_right(self) -> None:
        accepted = {("word forms", "churches"): Figures(0.5, 0.5, 0.5)}
        assert wrong([self.measured(self.GOOD)], accepted) == []

    def test_a_fall_is_told_with_the_query_that_fell(self) -> None:
        accepted = {("word forms", "churches"): self.GOOD}
        assert wrong([self.measured(Figures(0.5, 1.0, 0.5))], accepted) == [
            "word forms: mrr fell from 1.0000 to 0.5000",
            "  'churches': mrr 1.0000, now 0.5000",
        ]

    def test_a_fall_is_not_hidden_by_a_good_new_query(self) -> None:
        new = Measured(Judged("word forms", "new", frozenset({"T1"}), "is new"), self.GOOD)
        accepted = {("word forms", "churches"): self.GOOD}
        found = wrong([self.measured(Figures(0.5, 1.0, 0.5)), new], accepted)
        assert found[0] == "word forms: mrr fell from 1.0000 to 0.5000"
        assert found[-1].startswith("word forms: 'new' has no accepted figures")

    def test_a_query_that_is_gone_is_told(self) -> None:
        accepted = {("word forms", "churches"): self.GOOD, ("word forms", "gone"): self.GOOD}
        (line,) = wrong([self.measured(self.GOOD)], accepted)
        assert line == "word forms: 'gone' has accepted figures, but is no longer judged"

    def test_what_is_too_low_is_told_though_it_was_accepted(self) -> None:
        low = Figures(0.9, 1.0, 0.5)
        found = wrong([self.measured(low, "exact title")], {("exact title", "churches"): low})
        assert found == ["exact title: mrr is 0.900, must be at least 1.00"]
