"""The synthetic images of the growth benchmark have the statistics of the real names."""

import statistics
from collections import Counter
from collections.abc import Iterable

import pytest

from benchmarks.synthetic import Collection, collection
from shared.event import Event, encode

COUNT = 2_000


@pytest.fixture(scope="module")
def made() -> Collection:
    return collection()


@pytest.fixture(scope="module")
def synthetic(made: Collection) -> list[str]:
    return [made.name(number) for number in range(COUNT)]


def words(names: Iterable[str]) -> Counter[str]:
    return Counter(word for name in names for word in name.split())


def test_an_image_is_the_same_in_each_run(made: Collection) -> None:
    again = collection()
    for number in (0, 17, 999_999):
        one, other = made.event(number), again.event(number)
        assert (one.image_id, one.image) == (other.image_id, other.image)
    assert len({one.image_id for one in made.events(100)}) == 100


def test_names_are_as_long_as_real_ones_and_have_as_many_words(
    made: Collection, synthetic: list[str]
) -> None:
    real = made.names
    for size in (len, lambda name: len(name.split())):
        assert statistics.mean(map(size, synthetic)) == pytest.approx(
            statistics.mean(map(size, real)), rel=0.05
        )


def test_frequent_words_have_the_frequency_of_real_ones(
    made: Collection, synthetic: list[str]
) -> None:
    real, found = words(made.names), words(synthetic)
    for word, many in real.most_common(20):
        assert found[word] == pytest.approx(many, rel=0.25), word


def test_a_larger_collection_has_more_words_by_the_power_of_the_real_ones(
    made: Collection, synthetic: list[str]
) -> None:
    of_2000 = len(words(synthetic))
    assert of_2000 == pytest.approx(len(words(made.names)), rel=0.2)
    assert 0.5 < made.exponent < 0.8
    of_8000 = len(words(made.name(number) for number in range(4 * COUNT)))
    assert of_8000 / of_2000 == pytest.approx(4**made.exponent, rel=0.2)


def test_events_are_as_large_as_real_ones(made: Collection) -> None:
    def mean(events: Iterable[Event]) -> float:
        return statistics.mean(len(encode(one)) for one in events)

    assert mean(made.events(COUNT)) == pytest.approx(mean(made.real), rel=0.05)
