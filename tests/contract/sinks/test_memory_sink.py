"""The fake obeys the contract too: what is tested on it holds for the real sinks."""

import pytest

from shared.outcome import Applied, Duplicate, Failed, Refused
from shared.sink import MisconfiguredError, RequestFailedError, RequestRefusedError
from tests.builders import change
from tests.contract.sinks.suite import SinkContract, Store, Stored, as_stored, write
from tests.memory_sink import AnswerLost, MemorySink


class MemoryStore:
    def __init__(self) -> None:
        self.sink = MemorySink()

    def stored(self, image_id: str) -> Stored | None:
        change = self.sink.stored.get(image_id)
        return None if change is None else as_stored(change)


class TestMemorySink(SinkContract):
    @pytest.fixture
    def store(self) -> Store:
        return MemoryStore()


class TestScript:
    def test_each_request_meets_what_the_script_says_and_then_all_work(self) -> None:
        one, two = change("T1"), change("T2")
        sink = MemorySink({"T1": Failed("busy")}, {}, per_request=2)
        assert write(sink, one, two) == [Failed("busy"), Applied()]
        assert write(sink, one, two) == [Applied(), Duplicate()]
        assert write(sink, one, two) == [Duplicate(), Duplicate()]
        assert sink.sent == [(one, two)] * 3

    @pytest.mark.parametrize(
        "error", [RequestFailedError("down"), RequestRefusedError("no"), MisconfiguredError("403")]
    )
    def test_an_error_writes_nothing(self, error: Exception) -> None:
        assert isinstance(error, RequestFailedError | RequestRefusedError | MisconfiguredError)
        sink = MemorySink(error)
        with pytest.raises(type(error), match=str(error)):
            write(sink, change())
        assert sink.stored == {}

    def test_a_lost_answer_writes_everything(self) -> None:
        sink = MemorySink(AnswerLost())
        with pytest.raises(RequestFailedError):
            write(sink, change())
        assert write(sink, change()) == [Duplicate()]

    def test_what_is_always_so_for_an_image_is_so_in_every_request(self) -> None:
        sink = MemorySink(
            always={"bad": Refused("too odd"), "worse": RequestRefusedError("condemned")}
        )
        for _ in range(2):
            outcomes = write(sink, change("bad"), change("good"))
            assert outcomes[0] == Refused("too odd")
            with pytest.raises(RequestRefusedError):
                write(sink, change("worse"), change("neighbour"))
        assert set(sink.stored) == {"good"}

    def test_the_schema_is_what_each_check_finds(self) -> None:
        sink = MemorySink(schema=[RequestFailedError("down"), None, MisconfiguredError("other")])
        with pytest.raises(RequestFailedError):
            sink.check()
        sink.check()
        with pytest.raises(MisconfiguredError):
            sink.check()
        assert sink.checks == 3
