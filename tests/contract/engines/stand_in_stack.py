"""A script: `up` on stand-ins that start in no time, told by arguments how they behave.

python stand_in_stack.py STATE [fresh] [detach] [broken-server] [broken-consumer] [slow-prepare]
                          [deaf-consumer] [on-another-address]

While there is a file STATE/full, its disk is full.
"""

import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from lockstep.local.ports import free_ports
from lockstep.local.processes import LocalStackError, Service
from lockstep.local.up import detach, up
from lockstep.stack.stack import Stack
from lockstep.web.addresses import HOST

SERVERS = ("opensearch", "dynamodb", "s3", "kinesis")
ANSWERING = (
    "import sys; from http.server import SimpleHTTPRequestHandler, test;"
    "test(SimpleHTTPRequestHandler, port=int(sys.argv[1]), bind=sys.argv[2])"
)
SLEEPING = "import time; time.sleep(600)"
BROKEN = "raise SystemExit('no such thing')"
# It notes that it was asked to stop; another one ends as soon as it can be asked.
POLITE = (
    "import signal, time, pathlib;"
    "signal.signal(signal.SIGTERM, lambda *_: pathlib.Path('asked').touch());"
    "pathlib.Path('polite').touch(); time.sleep(600)"
)
BROKEN_AFTER_POLITE = (
    "import time, pathlib\n"
    "while not pathlib.Path('../opensearch/polite').exists(): time.sleep(0.01)\n"
    "raise SystemExit('no such thing')"
)
DEAF = (
    "import signal, time, pathlib; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
    "pathlib.Path('deaf').touch(); time.sleep(600)"
)

state, told = Path(sys.argv[1]), set(sys.argv[2:])
host = "127.0.0.2" if "on-another-address" in told else HOST


def stand_in(folder: Path, name: str, code: str, port: int | None = None) -> Service:
    command = [sys.executable, "-c", code, str(port), host]
    return Service(name, command, folder / name, folder / "logs" / f"{name}.log", port, host)


def servers(folder: Path) -> Sequence[Service]:
    ports = free_ports(SERVERS, {}, dict.fromkeys(SERVERS, host))
    codes = dict.fromkeys(SERVERS, ANSWERING)
    if "broken-server" in told:
        codes |= {"kinesis": BROKEN_AFTER_POLITE, "opensearch": POLITE}
    return [stand_in(folder, name, code, ports[name]) for name, code in codes.items()]


def consumers(folder: Path) -> Sequence[Service]:
    code = SLEEPING
    if "broken-consumer" in told:
        code = BROKEN
    elif "deaf-consumer" in told:
        code = DEAF
    return [stand_in(folder, "consumer", code)]


def prepare(_: Stack) -> None:
    if "slow-prepare" in told:
        (state / "preparing").touch()
        time.sleep(600)


console = Console(width=80)
try:
    if "detach" in told:
        again = [word for word in sys.argv if word != "detach"]
        detach(state, [sys.executable, *again], console=console)
        os._exit(0)  # as soon as it is ready, without a word more
    up(
        state,
        servers=servers,
        prepare=prepare,
        consumers=consumers,
        console=console,
        fresh="fresh" in told,
        free=lambda folder: 0 if (folder / "full").exists() else 2**40,
    )
except LocalStackError as error:
    sys.exit(f"Error: {error}")
except KeyboardInterrupt:
    sys.exit("interrupted")
