"""`lockstep up` and `down`: run a local stack in the foreground or background, and stop it."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from enum import StrEnum
from functools import partial
from pathlib import Path

from rich.console import Console

from lockstep.console.terminal import print_table
from lockstep.local.disk import LEAST_TO_START, Free, check_disk, free_bytes
from lockstep.local.processes import LocalStackError
from lockstep.local.services import ResourceNames, Services, stack_of
from lockstep.local.state_folder import (
    DETACHED_LOG,
    RUNNING,
    announce,
    claimed,
    create,
    empty,
    is_claimed,
    refuse_if_running,
    running,
)
from lockstep.local.supervisor import Supervisor, signals_handled
from lockstep.stack.stack import STACK, Stack, command_for, read_local, write_local

POLL_SECONDS = 0.1
DOWN_SECONDS = 60.0


class Ended(StrEnum):
    """What `down` did."""

    STOPPED = "stopped"
    NOTHING_RAN = "nothing ran"


def up(
    state: Path,
    *,
    servers: Services,
    prepare: Callable[[Stack], None],
    consumers: Services,
    console: Console,
    fresh: bool = False,
    names: ResourceNames = ResourceNames(),  # noqa: B008 - frozen
    free: Free = free_bytes,
) -> None:
    """Run a local stack until SIGINT, SIGTERM or SIGHUP; then stop it in order and return.

    A second signal kills what still runs. Call this from the main thread.

    Args:
        state: the state folder; created if it does not exist. Gets stack.json once all services
            are ready.
        servers: services named kinesis, dynamodb, opensearch and s3; `TABLESTORE` is optional.
        prepare: creates missing resources: stream, table, index and aliases, bucket, replica.
        consumers: started when the resources exist; one named `GATEWAY` serves the search.
        console: for progress.
        fresh: empty the folder first.
        names: of the resources.
        free: the free bytes of the disk of a folder.

    Raises:
        AlreadyRunningError: another `up` runs on this folder.
        LocalStackError: the folder is not a state folder, its disk is full, an engine cannot be
            downloaded, or a service does not start or keeps dying. All services are stopped; at
            once, if the stack was not ready.
        KeyboardInterrupt: a signal arrived before the stack was ready. All services are stopped.
    """
    state = state.resolve()
    with claimed(state), signals_handled() as signals:
        supervisor = Supervisor(state, console, signals, free)
        try:
            supervisor.end_left_overs()
            if fresh:
                empty(state)
            check_disk(state, LEAST_TO_START, free)
            announce(state, ready=False)
            (state / STACK).unlink(missing_ok=True)
            supervisor.start(servers(state))
            stack = stack_of(state, names, supervisor.services)
            supervisor.run(partial(prepare, stack))
            # The consumers read this file. The address of the search is added later.
            write_local(stack, state)
            supervisor.start(consumers(state))
            stack = stack_of(state, names, supervisor.services)
            write_local(stack, state)
            signals.raising = False
            announce(state, ready=True)
            print_table(["", "", "", ""], endpoints(stack), to=console)
            console.print("Press Ctrl-C to stop the stack. Stored data is kept.", style="dim")
            supervisor.watch()
        except Exception:
            if signals.raising:
                # The cause is told after this.
                supervisor.kill()
            raise
        finally:
            signals.raising = False
            supervisor.stop()
            (state / STACK).unlink(missing_ok=True)
            (state / RUNNING).unlink(missing_ok=True)


def detach(state: Path, command: Sequence[str], *, console: Console) -> Stack:
    """Run `command`, which calls `up` for this folder, in the background; wait until it is ready.

    Raises:
        AlreadyRunningError: another `up` runs on this folder.
        LocalStackError: the command ended before it was ready; the message is its last line.
    """
    state = state.resolve()
    create(state)
    refuse_if_running(state)
    written = state / DETACHED_LOG
    with written.open("wb") as log:
        process = subprocess.Popen(  # noqa: S603  # the caller's own command
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
    try:
        while (found := running(state)) is None or not found.ready:
            if process.poll() is not None:
                lines = written.read_text("utf-8", "replace").strip().rsplit("\n", 1)
                if not lines[-1]:
                    check_disk(state, LEAST_TO_START)  # nothing can be written to a full one
                raise LocalStackError(lines[-1].removeprefix("Error: ") or "it ended silently")
            time.sleep(POLL_SECONDS)
    except KeyboardInterrupt:
        process.terminate()
        process.wait()
        raise
    # The process outlives this one on purpose: avoid the warning about a running child.
    process.returncode = 0
    stack = read_local(state)
    print_table(["", "", "", ""], endpoints(stack), to=console)
    console.print(
        f"running in the background, pid {process.pid}; "
        f"stop it with {command_for('down', None, state)}",
        style="dim",
    )
    return stack


def down(state: Path) -> Ended:
    """Stop the `up` that runs on this folder, and wait until it has ended.

    Raises:
        LocalStackError: it did not stop within a minute.
    """
    state = state.resolve()
    found = running(state)
    if found is None:
        return Ended.NOTHING_RAN
    pid = found.supervisor.pid
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + DOWN_SECONDS
    while is_claimed(state):
        if time.monotonic() > deadline:
            raise LocalStackError(f"the local stack (pid {pid}) is still stopping; `kill -9 {pid}`")
        time.sleep(POLL_SECONDS)
    return Ended.STOPPED


def endpoints(stack: Stack) -> list[list[str]]:
    """The stack's endpoints and resources, a row each, for people."""
    at = stack.endpoints
    rows = [
        ["kinesis", at.kinesis or "", "stream", stack.stream],
        ["dynamodb", at.dynamodb or "", "table", stack.table],
        ["opensearch", at.opensearch, "index", f"{stack.index}, {stack.live}"],
    ]
    if stack.index_from != "Kinesis":
        rows.append(["", "", "fed from", stack.index_from])
    rows.append(["s3", at.s3 or "", "bucket", stack.bucket])
    if stack.replica is not None:
        rows.append(["tablestore", at.tablestore or "", "table", stack.replica.table])
    if at.search is not None:
        rows.append(["search", at.search, "try", f"{at.search}/?q=thames"])
    return rows
