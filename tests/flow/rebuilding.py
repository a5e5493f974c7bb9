"""Rebuilds of a running stack's index, killed on the way, while events flow and readers read."""

import random
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
import pytest
from opensearchpy import OpenSearch

from lockstep.rebuild.indices import Indices, StackIndices
from lockstep.stack.clients import Clients
from lockstep.stack.stack import Stack
from tests.flow.background import Background
from tests.flow.shell import Shell
from tests.flow.storm import Flow

# While a page is written, and a little more: what is drawn is a moment of the work, not of a pause.
LONGEST_PAUSE_SECONDS = 0.5
PATIENCE_SECONDS = 120.0

# When to kill, by what can be seen in the cluster: the new index made, filled for a part, live.
type Moment = Callable[[StackIndices], bool]


def made(view: StackIndices) -> bool:
    return bool(view.unfinished)


def half_filled(view: StackIndices) -> bool:
    states = [view.numbered[index] for index in view.unfinished]
    return any(state is not None and (state.position or state.filled) for state in states)


def live(view: StackIndices) -> bool:
    return view.live_state is not None and not view.live_state.done


MOMENTS: Sequence[Moment] = (made, half_filled, live)


class Reader(Background):
    """Counts through the reading alias, as long as it is let, what nobody puts or removes."""

    def __init__(self, stack: Stack, moving: str) -> None:
        super().__init__("reader")
        self.counts: list[int] = []
        self.indices: set[str] = set()
        self._client = OpenSearch([stack.endpoints.opensearch], timeout=30)
        self._alias = stack.live
        still = {"bool": {"must_not": {"prefix": {"image_id": moving}}}}
        self._body = {"query": still, "size": 1, "_source": False, "track_total_hits": True}

    def work(self) -> None:
        while not self.enough.is_set():
            hits = self._client.search(index=self._alias, body=self._body)["hits"]
            self.counts.append(hits["total"]["value"])
            self.indices.update(hit["_index"] for hit in hits["hits"])
            time.sleep(0.01)


class Rebuilding:
    """`lockstep rebuild --apply`, killed at two moments, then run to its end."""

    def __init__(self, shell: Shell, stack: Stack, chance: random.Random) -> None:
        self.killed: list[str] = []
        self.flow = "to the end"
        self._shell = shell
        self._indices = Indices(Clients(stack).opensearch, stack.index)
        self._chance = chance

    def run(self, flow: Flow) -> Mapping[str, Any]:
        """What the last run says, which nobody killed.

        Where a consumer cannot keep up with the flow, a rebuild says so and ends; then the flow
        ends, too, and the rebuild is gone on with.
        """
        for moment in sorted(self._chance.sample(MOMENTS, 2), key=MOMENTS.index):
            self._killed_at(moment)
        process = self._start()
        out, err = process.communicate(timeout=2 * PATIENCE_SECONDS)
        if process.returncode == 2 and (b"still processes older records" in err or b"lags" in out):
            flow.finish()
            self.flow = "until a consumer was too far behind"
            self._shell.run("status", "--wait", "600")
            process = self._start()
            out, err = process.communicate(timeout=2 * PATIENCE_SECONDS)
        assert process.returncode == 0, (out, err)
        answer: Mapping[str, Any] = msgspec.json.decode(out)
        return answer

    def _start(self) -> subprocess.Popen[bytes]:
        # Slowly, so that there is a way to be killed on; and no invocation takes long here.
        words = ("--apply", "--json", "--rate", "100", "--wait", "30")
        return self._shell.start("rebuild", *words)

    def _killed_at(self, moment: Moment) -> None:
        process = self._start()
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not moment(self._indices.read()):
            assert process.poll() is None, (moment, process.communicate())
            if time.monotonic() > deadline:
                process.kill()
                pytest.fail(f"not {moment.__name__}: {process.communicate()}")
            time.sleep(0.02)
        time.sleep(self._chance.uniform(0, LONGEST_PAUSE_SECONDS))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert process.returncode == -signal.SIGKILL
        self.killed.append(moment.__name__)
