"""The audit of a local stack, at an interval, by the same code as in Lambda.

    python -m lockstep.nightly.local --state FOLDER --every SECONDS

It works in pieces of a minute, so whoever ends it loses little.
"""

import argparse
import os
import time
from pathlib import Path

from aws_lambda_powertools import Logger, Metrics

from doors.log import STACK_NAME, new_logger
from lockstep.audit.pieces.schedule import Every
from lockstep.nightly.piece import do_piece
from lockstep.stack.clients import Clients
from lockstep.stack.stack import LOCAL_NAMESPACE, read_local

PIECE_SECONDS = 60.0
PAUSE_SECONDS = 1.0
# After an error, for example while an engine starts again.
ERROR_PAUSE_SECONDS = 10.0
# The table of one machine has no limit.
READ_UNITS = 1_000_000.0


def main() -> None:
    """Audit until the process is ended."""
    parser = argparse.ArgumentParser(prog="lockstep.nightly.local")
    parser.add_argument("--state", type=Path, required=True)
    parser.add_argument("--every", type=float, required=True)
    arguments = parser.parse_args()
    os.environ.setdefault("POWERTOOLS_SERVICE_NAME", "nightly_audit")
    os.environ.setdefault(STACK_NAME, "lockstep")
    clients = Clients(read_local(arguments.state))
    logger, metrics = new_logger(), Metrics(namespace=LOCAL_NAMESPACE)
    schedule = Every(arguments.every)
    while True:
        try:
            _piece(clients, schedule, logger, metrics)
        except Exception:  # a process that dies again and again would stop the stack
            logger.exception("this piece of the audit failed; the next one goes on")
            time.sleep(ERROR_PAUSE_SECONDS)
        time.sleep(PAUSE_SECONDS)


def _piece(clients: Clients, schedule: Every, logger: Logger, metrics: Metrics) -> None:
    ends = time.monotonic() + PIECE_SECONDS
    do_piece(
        clients,
        schedule,
        rate=READ_UNITS,
        remaining=lambda: ends - time.monotonic(),
        longest=PIECE_SECONDS * 2,
        logger=logger,
        metrics=metrics,
    )


if __name__ == "__main__":
    main()
