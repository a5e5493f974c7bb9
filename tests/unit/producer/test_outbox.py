"""The outbox: which records a request takes, and how much is read ahead."""

import pytest

from lockstep.producing.outbox import (
    MAX_REQUEST_BYTES,
    MAX_REQUEST_RECORDS,
    Accepted,
    Bounds,
    Outbox,
    Outgoing,
)

MEBIBYTE = 1024 * 1024


def outbox() -> Outbox:
    return Outbox(chance=lambda: 0.5)


def outgoing(number: int, size: int = MEBIBYTE) -> Outgoing:
    """A record of another image, with this size in bytes as Kinesis counts it."""
    image_id = f"T{number:05}"
    return Outgoing(image_id, b" " * (size - len(image_id)))


def test_a_postponed_request_takes_its_room_again() -> None:
    box = outbox()
    wanted = []
    for number in range(5):
        wanted.append(box.wants_more)
        box.add(outgoing(number))
    wanted.append(box.wants_more)
    assert wanted == [True] * 5 + [False]
    request = box.take(0.0)
    assert sum(one.size for one in request) == MAX_REQUEST_BYTES
    wanted = [box.wants_more]
    box.postpone(request, 0.0)
    wanted.append(box.wants_more)
    assert box.take(box.wait(0.0)) == request
    wanted.append(box.wants_more)
    assert wanted == [True, False, True]
    box.settle(request, [Accepted()] * 5, 1.0)
    assert (box.held, box.resent) == (0, 5)


def test_results_for_another_number_of_records_are_an_error_of_the_caller() -> None:
    box = outbox()
    box.add(outgoing(1))
    request = box.take(0.0)
    with pytest.raises(ValueError, match="shorter"):
        box.settle(request, [], 0.0)


def test_a_request_takes_at_most_500_records() -> None:
    box = outbox()
    for number in range(MAX_REQUEST_RECORDS + 1):
        box.add(outgoing(number, size=10))
    assert [len(box.take(0.0)), len(box.take(0.0))] == [MAX_REQUEST_RECORDS, 1]


def test_a_request_with_one_free_byte_wants_another_record() -> None:
    box = outbox()
    box.add(outgoing(1, size=MAX_REQUEST_BYTES - 1))
    wanted = [box.wants_more]
    box.add(outgoing(2, size=1 + len("T00002")))
    wanted.append(box.wants_more)
    assert wanted == [True, False]


def test_the_bound_on_bytes_is_exact() -> None:
    box = Outbox(chance=lambda: 0.5, bounds=Bounds(bytes=100))
    box.add(outgoing(1, size=99))
    wanted = [box.wants_more]
    box.add(outgoing(2, size=10))
    wanted.append(box.wants_more)
    assert wanted == [True, False]


def test_a_taken_record_frees_its_room_whatever_its_size() -> None:
    box = outbox()
    box.add(outgoing(1, size=MAX_REQUEST_BYTES))
    wanted = [box.wants_more]
    box.take(0.0)
    wanted.append(box.wants_more)
    assert wanted == [False, True]


def test_a_request_after_a_timeout_has_half_the_bytes_and_later_ones_grow() -> None:
    box = outbox()
    for number in range(10):
        box.add(outgoing(number))
    box.postpone(box.take(0.0), 0.0, timed_out=True)
    sizes = []
    for _ in range(4):
        request = box.take(1.0)
        sizes.append(len(request))
        box.settle(request, [Accepted()] * len(request), 0.0)
    assert sizes == [2, 2, 2, 2]
    for number in range(100):
        box.add(outgoing(number, size=10))
        request = box.take(1.0)
        box.settle(request, [Accepted()] * len(request), 0.0)
    for number in range(10):
        box.add(outgoing(number))
    assert len(box.take(1.0)) == 5


@pytest.mark.parametrize(("records", "timed_out"), [(1, True), (5, False)])
def test_only_a_timeout_of_several_records_makes_requests_smaller(
    records: int, *, timed_out: bool
) -> None:
    box = outbox()
    for number in range(records):
        box.add(outgoing(number))
    box.postpone(box.take(0.0), 0.0, timed_out=timed_out)
    for number in range(records, 5):
        box.add(outgoing(number))
    assert len(box.take(box.wait(0.0))) == 5
