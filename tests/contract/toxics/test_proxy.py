"""The proxy does what its toxics' names say, between two plain sockets."""

import socket
import threading
import time
from collections.abc import Iterator

import pytest

from tests.toxics import Bandwidth, Direction, Latency, Proxy, Reset, Slow, Truncate, before

MESSAGE = b"0123456789"


class Shouter:
    """A server that reads ten bytes at a time and answers each with the same ten."""

    def __init__(self) -> None:
        self.heard: list[bytes] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            connection, _ = self._listener.accept()
            with connection:
                if not self._answer(connection):
                    return

    def _answer(self, connection: socket.socket) -> bool:
        heard = b""
        try:
            while data := connection.recv(len(MESSAGE) - len(heard)):
                heard += data
                if heard == b"end":
                    return False
                if len(heard) == len(MESSAGE):
                    # Before the answer: whoever has that may look.
                    self.heard.append(heard)
                    connection.sendall(heard)
                    heard = b""
        except ConnectionResetError:
            self.heard.append(heard + b" reset")
        else:
            self.heard.append(heard + b" ended")
        return True

    def close(self) -> None:
        with socket.create_connection(self._listener.getsockname()) as last:
            last.sendall(b"end")
        self._thread.join()
        self._listener.close()


@pytest.fixture
def shouter() -> Iterator[Shouter]:
    made = Shouter()
    yield made
    made.close()


@pytest.fixture
def proxy(shouter: Shouter) -> Iterator[Proxy]:
    with before(shouter.url) as made:
        yield made


def said(proxy: Proxy) -> bytes:
    """What comes back for the message, and how it ends when it does not come whole."""
    with socket.create_connection(("127.0.0.1", int(proxy.url.rpartition(":")[2]))) as line:
        line.settimeout(5)
        got = b""
        try:
            line.sendall(MESSAGE)
            while len(got) < len(MESSAGE):
                data = line.recv(1)
                if not data:
                    return got + b" ended"
                got += data
        except ConnectionResetError:
            return got + b" reset"
        return got


def test_without_a_toxic_everything_comes_through(proxy: Proxy) -> None:
    assert said(proxy) == MESSAGE
    assert (proxy.carried("up"), proxy.carried("down"), proxy.cuts) == (MESSAGE, MESSAGE, 0)


@pytest.mark.parametrize("after", range(10))
def test_a_cut_answer_comes_as_far_as_it_says(proxy: Proxy, after: int) -> None:
    proxy.give("down", Reset(after))
    assert said(proxy) == MESSAGE[:after] + b" reset"
    proxy.give("down", Truncate(after))
    assert said(proxy) == MESSAGE[:after] + b" ended"
    assert proxy.carried("down") == MESSAGE[:after]


@pytest.mark.parametrize("after", range(10))
def test_a_cut_request_is_heard_as_far_as_it_says(
    proxy: Proxy, shouter: Shouter, after: int
) -> None:
    proxy.give("up", Truncate(after))
    assert said(proxy) == b" ended"
    proxy.give("up", Reset(after))
    assert said(proxy) == b" reset"
    proxy.heal()
    assert said(proxy) == MESSAGE
    first, second, whole, *_ = shouter.heard
    assert first == MESSAGE[:after] + b" ended"
    assert second.endswith(b" reset")
    assert MESSAGE[:after].startswith(second.removesuffix(b" reset"))
    assert whole == MESSAGE


def test_a_cut_is_counted_over_all_connections_and_stays(proxy: Proxy) -> None:
    proxy.give("down", Reset(15))
    assert [said(proxy) for _ in range(4)] == [MESSAGE, b"01234 reset", b" reset", b" reset"]
    assert proxy.cuts == 3


def test_a_cut_that_happens_once_happens_once(proxy: Proxy) -> None:
    proxy.give("down", Reset(5, once=True))
    assert [said(proxy) for _ in range(3)] == [b"01234 reset", MESSAGE, MESSAGE]


@pytest.mark.parametrize("direction", ["up", "down"])
@pytest.mark.parametrize("toxic", [Latency(0.1), Slow(100), Bandwidth(100)])
def test_what_is_late_or_slow_comes_whole(
    proxy: Proxy, direction: Direction, toxic: Latency | Slow | Bandwidth
) -> None:
    proxy.give(direction, toxic)
    started = time.monotonic()
    assert said(proxy) == MESSAGE
    assert time.monotonic() - started >= 0.1


def test_what_is_down_refuses_and_comes_back_on_the_same_port(proxy: Proxy) -> None:
    url = proxy.url
    proxy.go_down()
    with pytest.raises(ConnectionRefusedError):
        said(proxy)
    proxy.come_up()
    assert proxy.url == url
    assert said(proxy) == MESSAGE


def test_going_down_resets_the_connections_that_there_are(proxy: Proxy) -> None:
    with socket.create_connection(("127.0.0.1", int(proxy.url.rpartition(":")[2]))) as line:
        line.settimeout(5)
        line.sendall(MESSAGE)
        assert line.recv(1, socket.MSG_PEEK) == b"0"
        proxy.go_down()
        with pytest.raises(ConnectionResetError):
            read_to_the_end(line)


def read_to_the_end(line: socket.socket) -> None:
    while line.recv(10):
        pass
