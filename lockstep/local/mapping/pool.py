"""The pool of a function's worker processes: one for each concurrent invocation, kept warm.

As in Lambda, each concurrent invocation has its own process. A free process is reused; one that
timed out or crashed is replaced. A mapping with N shards and parallelization factor P therefore has
at most N x P processes.
"""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path

import msgspec

from lockstep.local.mapping import channel
from lockstep.local.mapping.channel import (
    ClosedError,
    FunctionError,
    FunctionResult,
    HandlerReady,
    Invocation,
    Report,
)
from lockstep.local.mapping.invocation import Function, function_arn
from lockstep.local.mapping.response import Errored, InvocationResult, Returned, Throttled
from lockstep.stack.clients import LOCAL_CREDENTIALS

# Lambda allows 10 s for the import. A busy machine may need longer.
INIT_SECONDS = 60.0

_report = msgspec.json.Decoder[Report](Report)


class StoppedError(Exception):
    """The pool was closed: the result of this invocation is unknown."""


class WorkerProcess:
    """A process that runs the function.

    Args:
        function: the function.
        region: the region in its ARN.
        environment: its whole environment.
        root: its working directory, where its import paths start.
        log: the file that its output is appended to.
    """

    def __init__(
        self,
        function: Function,
        region: str,
        environment: Mapping[str, str],
        *,
        root: Path,
        log: Path,
    ) -> None:
        self._arn = function_arn(function.deployed_name, region)
        self._timeout = function.timeout
        self._ready = False
        self._gone = False
        self._channel, theirs = socket.socketpair()
        log.parent.mkdir(parents=True, exist_ok=True)
        with theirs, log.open("ab") as output:
            self._process = subprocess.Popen(  # noqa: S603  # a module of this package
                [sys.executable, "-u", "-m", "lockstep.local.mapping.worker", str(theirs.fileno())],
                cwd=root,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                pass_fds=[theirs.fileno()],
                # Ctrl-C then reaches the mapping only; a kill also reaches the function's children.
                process_group=0,
            )

    def invoke(self, event: bytes, request_id: str) -> InvocationResult:
        """Invoke the function once with this event; kill the process if it does not answer."""
        try:
            if not self._ready:
                self._channel.settimeout(INIT_SECONDS)
                match _report.decode(channel.receive(self._channel)):
                    case HandlerReady():
                        self._ready = True
                    case FunctionError(error_type, message):
                        self.kill()
                        return Errored(error_type, message)
                    case FunctionResult():
                        raise RuntimeError(
                            "the worker process sent a result before its first invocation"
                        )
            return self._ask(event, request_id)
        except TimeoutError:
            self.kill()
            if not self._ready:
                return Errored(
                    "Sandbox.Timedout", f"the import took longer than {INIT_SECONDS:.0f} s"
                )
            message = f"Task timed out after {self._timeout:.2f} seconds"
            return Errored("Sandbox.Timedout", message)
        except ClosedError:
            self.kill()
            return Errored("Runtime.ExitError", f"the process ended: {self._end()}")

    def end(self) -> None:
        """Send SIGKILL to the process and its children; a running `invoke` notices it."""
        # After `wait`, another process may have its ID.
        if not self._gone:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)

    def kill(self) -> None:
        """Kill the process and its children, and wait until the process has ended."""
        self.end()
        self._process.wait()
        self._gone = True
        self._channel.close()

    @property
    def dead(self) -> bool:
        """Whether the process has ended; its children may run until `kill`."""
        asked = os.WEXITED | os.WNOHANG | os.WNOWAIT
        return self._gone or os.waitid(os.P_PID, self._process.pid, asked) is not None

    def _ask(self, event: bytes, request_id: str) -> InvocationResult:
        ends = time.monotonic() + self._timeout
        asked = Invocation(request_id, self._arn, time.time() + self._timeout)
        self._channel.settimeout(self._timeout)
        channel.send(self._channel, msgspec.json.encode(asked))
        channel.send(self._channel, event)
        self._channel.settimeout(max(ends - time.monotonic(), 0.001))
        match _report.decode(channel.receive(self._channel)):
            case FunctionError(error_type, message):
                return Errored(error_type, message)
            case _:
                return Returned(channel.receive(self._channel))

    def _end(self) -> str:
        code = self._process.returncode
        return f"signal {-code}" if code < 0 else f"exit code {code}"


class Pool:
    """The worker processes of one function. Several threads may call `invoke` at the same time.

    The arguments are those of `WorkerProcess`.
    """

    def __init__(
        self,
        function: Function,
        region: str,
        environment: Mapping[str, str],
        *,
        root: Path,
        log: Path,
    ) -> None:
        self._start: Callable[[], WorkerProcess] = partial(
            WorkerProcess, function, region, environment, root=root, log=log
        )
        self._most = function.reserved_concurrency
        self._state = threading.Condition()
        self._idle: list[WorkerProcess] = []
        self._busy: set[WorkerProcess] = set()
        self._closed = False

    def invoke(self, event: bytes, request_id: str) -> InvocationResult:
        """Invoke the function once in a free or new process; throttled if too many are running.

        Raises:
            StoppedError: the pool was closed before the function answered.
        """
        worker = self._borrow()
        if worker is None:
            return Throttled()
        try:
            answer = worker.invoke(event, request_id)
        finally:
            stopped = self._give_back(worker)
        if stopped and isinstance(answer, Errored):
            raise StoppedError
        return answer

    def close(self, grace: float) -> None:
        """Start no invocations; wait at most `grace` seconds for running ones, then kill all."""
        with self._state:
            self._closed = True
            self._state.wait_for(lambda: not self._busy, timeout=grace)
            while self._idle:
                self._idle.pop().kill()
            for worker in self._busy:
                worker.end()

    def _borrow(self) -> WorkerProcess | None:
        """A process, None if the function's reserved concurrency is used up."""
        with self._state:
            if self._closed:
                raise StoppedError
            if self._most is not None and len(self._busy) >= self._most:
                return None
            while self._idle:
                worker = self._idle.pop()
                if not worker.dead:
                    break
                worker.kill()
            else:
                worker = self._start()
            self._busy.add(worker)
            return worker

    def _give_back(self, worker: WorkerProcess) -> bool:
        """Take the process back if it is alive; return whether the pool is closed."""
        with self._state:
            self._busy.discard(worker)
            if self._closed or worker.dead:
                worker.kill()
            else:
                self._idle.append(worker)
            self._state.notify_all()
            return self._closed


def lambda_environment(
    function: Function, *, region: str, root: Path, endpoints: Mapping[str, str]
) -> dict[str, str]:
    """The function's environment: the template's variables, and those that Lambda sets.

    `endpoints` are local addresses by service (`DYNAMODB`, `S3`).
    https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html
    """
    return {
        "AWS_ACCESS_KEY_ID": LOCAL_CREDENTIALS,
        "AWS_SECRET_ACCESS_KEY": LOCAL_CREDENTIALS,
        "AWS_SESSION_TOKEN": LOCAL_CREDENTIALS,
        "AWS_DEFAULT_REGION": region,
        "AWS_REGION": region,
        "AWS_EXECUTION_ENV": "AWS_Lambda_python3.13",
        "AWS_LAMBDA_FUNCTION_NAME": function.deployed_name,
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.memory),
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{function.deployed_name}",
        "AWS_LAMBDA_LOG_STREAM_NAME": "local",
        "LAMBDA_TASK_ROOT": str(root),
        "_HANDLER": function.handler,
        "LANG": "en_US.UTF-8",
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "TZ": ":UTC",
        # Lambda has no ~/.aws; the developer's must not be used.
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        **{f"AWS_ENDPOINT_URL_{service}": url for service, url in endpoints.items()},
        **function.environment,
    }
