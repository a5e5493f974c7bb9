"""What goes on beside a test, in a thread of its own, until it is told that it is enough."""

import threading
from abc import ABC, abstractmethod


class Background(threading.Thread, ABC):
    """Does its work; what goes wrong there is raised by `finish`."""

    def __init__(self, name: str) -> None:
        super().__init__(name=name)
        self.enough = threading.Event()
        self._failure: BaseException | None = None

    @abstractmethod
    def work(self) -> None:
        """Until `enough` is set."""

    def run(self) -> None:
        try:
            self.work()
        except BaseException as error:  # noqa: BLE001 - raised where it is seen: by `finish`
            self._failure = error

    def finish(self) -> None:
        """No more; returns when all is done that was begun."""
        self.enough.set()
        self.join()
        if self._failure is not None:
            raise self._failure
