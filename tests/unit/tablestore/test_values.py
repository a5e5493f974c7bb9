"""The stored bytes of keys have the order of keys."""

from hypothesis import given
from hypothesis import strategies as st

from lockstep.local.tablestore.values import Bound, Key, KeyColumn, KeyValue, ordered

RANK = {Bound.INF_MIN: 0, int: 1, str: 2, bytes: 3, Bound.INF_MAX: 4}
# Zero bytes, and texts that begin like others.
few = st.sampled_from(["", "\0", "a", "a\0", "a\0b", "ab", "b", "é", "\U0001f600", "\uffff"])
texts = few | st.text(st.characters(codec="utf-8"), max_size=4)
values: st.SearchStrategy[KeyValue] = (
    st.integers(-(2**63), 2**63 - 1)
    | texts
    | texts.map(str.encode)
    | st.sampled_from([Bound.INF_MIN, Bound.INF_MAX])
)


def key(*given: KeyValue) -> Key:
    return tuple(KeyColumn(f"k{at}", value) for at, value in enumerate(given))


def rank(value: KeyValue) -> tuple[int, object]:
    """Types in the order of Table Store; strings by their bytes."""
    if isinstance(value, Bound):
        return RANK[value], 0
    return RANK[type(value)], value.encode() if isinstance(value, str) else value


@given(st.lists(st.tuples(values, values), min_size=2, max_size=6))
def test_stored_keys_have_the_order_of_their_values(given: list[tuple[KeyValue, KeyValue]]) -> None:
    by_value = sorted(given, key=lambda one: [rank(value) for value in one])
    assert sorted(given, key=lambda one: ordered(key(*one))) == by_value


@given(values, values)
def test_different_keys_are_stored_under_different_bytes(one: KeyValue, other: KeyValue) -> None:
    assert (ordered(key(one)) == ordered(key(other))) == (rank(one) == rank(other))
