"""What a message quotes is short: the start, the length and the end of it."""

import pickle

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shared.shortened import MOST, BriefError, shortened

# Any text, also what is not valid UTF-8.
TEXTS = st.text(st.characters(exclude_categories=[]), max_size=3 * MOST)


@given(TEXTS, st.integers(60, 2 * MOST))
@example("\udcff" * MOST, MOST)
@example("\U0001f600" * 1_000_000, 60)
def test_it_is_at_most_that_long_valid_and_keeps_its_start_and_end(text: str, most: int) -> None:
    short = shortened(text, most)
    assert len(short) <= most
    short.encode()
    start, cut, rest = short.partition("… [")
    assert shortened(short, most) == short
    readable = text.encode(errors="backslashreplace").decode()
    if len(readable) <= most:
        assert short == readable
    else:
        assert cut
        assert start
        assert readable.startswith(start)
        assert rest.startswith(f"{len(readable):,} characters] …")
        assert readable.endswith(rest.partition(" …")[2])


def test_a_long_name_in_a_message_does_not_hide_where_it_is_and_what_to_do() -> None:
    message = f"unknown field `{'x' * 200_000}` - at `$.image`: remove it"
    short = shortened(message)
    assert short.startswith("unknown field `xxx")
    assert "… [200,042 characters] …" in short
    assert short.endswith("xxx` - at `$.image`: remove it")


@pytest.mark.parametrize("kind", [BriefError, type("Sub", (BriefError,), {})])
def test_the_message_of_an_exception_is_short_and_its_arguments_are_whole(
    kind: type[BriefError],
) -> None:
    error = kind("x" * 10_000)
    assert len(str(error)) <= MOST
    assert error.args == ("x" * 10_000,)


def test_an_exception_can_be_pickled() -> None:
    error = pickle.loads(pickle.dumps(BriefError("x" * 10_000)))  # noqa: S301 - our own
    assert str(error) == shortened("x" * 10_000)
