"""What must hold whatever the function answers: nothing lost, first deliveries in order."""

from hypothesis import given
from hypothesis import strategies as st

from lockstep.local.mapping.settings import Settings
from tests.unit.mapping.play import MOODS, entries, moody, play


@given(
    count=st.integers(0, 30),
    moods=MOODS,
    batch_size=st.integers(1, 12),
    retries=st.one_of(st.none(), st.integers(0, 3)),
    bisect=st.booleans(),
    window=st.sampled_from([0, 1]),
)
def test_every_record_is_settled_once_and_first_tried_in_order(
    *,
    count: int,
    moods: list[str | int],
    batch_size: int,
    retries: int | None,
    bisect: bool,
    window: int,
) -> None:
    """Records are in order the first time.

    Rule: order.
    Source: https://docs.aws.amazon.com/lambda/latest/dg/with-kinesis.html
    """
    numbers = [str(1000 + position) for position in range(count)]
    succeeded: list[str] = []

    settings = Settings(
        batch_size=batch_size,
        retries=retries,
        bisect=bisect,
        window_seconds=window,
        reports_item_failures=True,
    )
    history = play(entries(*numbers), moody(moods, succeeded), settings)

    discarded = [number for batch in history.discarded for number in batch]
    assert sorted(succeeded + discarded) == numbers
    assert succeeded == sorted(succeeded)
    assert history.checkpoints == sorted(history.checkpoints)
    assert history.checkpoints[-1:] == numbers[-1:]
    first_tried = list(dict.fromkeys(number for batch in history.invocations for number in batch))
    assert first_tried == numbers
    assert all(1 <= len(batch) <= batch_size for batch in history.invocations)
    if retries is None:
        assert not discarded
