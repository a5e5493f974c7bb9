"""The pictures of a local stack become events, by the same code as in Lambda.

    python -m lockstep.pictures_to_events.local --state FOLDER [--trouble]

It makes the notifications that S3Proxy does not send. With `--trouble` they come late, up to three
times, and so out of order.
"""

import argparse
import os
import random
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from aws_lambda_powertools import Logger

from doors.log import STACK_NAME, new_logger
from lockstep.pictures.alignment import ObjectIdentity
from lockstep.pictures.reading import PictureSettings
from lockstep.pictures.within_limits.readers import Readers
from lockstep.pictures_to_events.batch import Looked, NotificationWork
from lockstep.pictures_to_events.local_queue import Lateness, LocalQueue, at_once
from lockstep.stack.clients import Clients
from lockstep.stack.stack import LOCAL_NAME, read_local
from lockstep.stack.use_cases.pictures import (
    bucket_pictures,
    key_aligner,
    picture_rows,
    picture_stores,
)
from shared.picture_ids import PREFIX

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

QUEUE: Final = "picture-notifications.db"
# Between two lists: longer for a large bucket, whose list takes long, and never much longer.
LIST_SECONDS = 1.0
LONGEST_LIST_SECONDS = 10.0
# Of what failed, for example while an engine starts again.
AGAIN_SECONDS = 5.0
HIDDEN_SECONDS = 60.0
LATEST_SECONDS = 20.0


class LocalPictures:
    """The bucket of a local stack, the queue of its notifications, and what settles them."""

    def __init__(
        self,
        clients: Clients,
        queue: LocalQueue,
        logger: Logger,
        align: Callable[[Clients], Callable[[str], str]],
    ) -> None:
        """Set it up.

        Args:
            clients: of the stack.
            queue: of the notifications.
            logger: is told what became of each key.
            align: makes what brings a key in line; called when the first notification comes.
        """
        self._align = align
        self._clients = clients
        self._queue = queue
        self._logger = logger
        self._bucket = picture_stores(clients).bucket
        self._next_list = 0.0
        self._work: NotificationWork | None = None

    def step(self) -> bool:
        """List the bucket if it is time, and settle one batch; whether there was one."""
        if time.monotonic() >= self._next_list:
            begun = time.monotonic()
            self._queue.note(listed(self._clients.s3, self._bucket), self._now())
            ended = time.monotonic()
            self._next_list = ended + pause_after(ended - begun)
        return self._settle()

    def seconds_to_list(self, now: float) -> float:
        """How long to wait if there is nothing to settle: at most `LIST_SECONDS`.

        Only a list brings new notifications. Those that are late, or come again, wait a little.
        """
        return min(max(0.0, self._next_list - now), LIST_SECONDS)

    def _settle(self) -> bool:
        now = self._now()
        messages = self._queue.receive(now, now + HIDDEN_SECONDS)
        if not messages:
            return False
        failed = {one.message_id for one in messages}
        try:
            answer = self._prepared().settle(messages)
            failed = {one["itemIdentifier"] for one in answer["batchItemFailures"]}
        finally:
            self._queue.delete(one for one in messages if one.message_id not in failed)
            again = [one for one in messages if one.message_id in failed]
            self._queue.bring_again(again, self._now() + AGAIN_SECONDS)
        return True

    def _prepared(self) -> NotificationWork:
        if self._work is None:
            self._work = NotificationWork(
                bucket=self._bucket,
                align=self._align(self._clients),
                set_aside=lambda letter: self._queue.set_aside(letter, self._now()),
                tell=self._tell,
            )
        return self._work

    def _tell(self, looked: Looked) -> None:
        write = self._logger.warning if looked.detail else self._logger.info
        said = {"key": looked.key, "messages": looked.messages, "detail": looked.detail}
        write(looked.outcome, extra=said)

    def _now(self) -> float:
        return self._clients.clock.now()


def pause_after(took: float) -> float:
    """The seconds from the end of a list to the next one, if the list took so many seconds."""
    return min(max(LIST_SECONDS, took), LONGEST_LIST_SECONDS)


def listed(client: "S3Client", bucket: str) -> Mapping[str, ObjectIdentity]:
    """The objects below the prefix of the pictures, by their keys."""
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=PREFIX)
    return {
        one["Key"]: ObjectIdentity(one["ETag"], int(one["LastModified"].timestamp()), one["Size"])
        for page in pages
        for one in page.get("Contents", [])
    }


def troubled(chance: random.Random) -> Lateness:
    """Each notification comes one to three times, each up to 20 seconds late."""

    def lateness() -> Sequence[float]:
        copies = chance.randint(1, 3)
        return [chance.uniform(0.0, LATEST_SECONDS) for _ in range(copies)]

    return lateness


def align_events(readers: Readers, clients: Clients) -> Callable[[str], str]:
    """What brings the event of a key in line; `readers` read the pictures."""
    logger = new_logger()

    def refused(key: str, why: str) -> None:
        logger.warning("refused", extra={"key": key, "detail": why})

    pictures = bucket_pictures(
        clients, PictureSettings(zone=UTC), read=readers.picture, on_refused=refused
    )
    return key_aligner(clients, pictures, picture_rows(clients)).align


def run(name: str, queue_file: str, align: Callable[[Clients], Callable[[str], str]]) -> None:
    """Look at pictures until the process is ended.

    Args:
        name: the last part of the name of the module, and the service in the log.
        queue_file: the name of the queue in the state folder.
        align: see `LocalPictures`.
    """
    parser = argparse.ArgumentParser(prog=f"lockstep.{name}.local")
    parser.add_argument("--state", type=Path, required=True)
    parser.add_argument("--trouble", action="store_true")
    arguments = parser.parse_args()
    os.environ.setdefault("POWERTOOLS_SERVICE_NAME", name)
    os.environ.setdefault(STACK_NAME, LOCAL_NAME)
    clients, logger = Clients(read_local(arguments.state)), new_logger()
    lateness = troubled(random.Random()) if arguments.trouble else at_once  # noqa: S311 - no secret
    queue = LocalQueue(arguments.state / queue_file, picture_stores(clients).bucket, lateness)
    pictures = LocalPictures(clients, queue, logger, align)
    while True:
        try:
            if not pictures.step():
                time.sleep(pictures.seconds_to_list(time.monotonic()))
        except Exception:  # a process that dies again and again would stop the stack
            logger.exception("the pictures could not be looked at; they are later")
            time.sleep(AGAIN_SECONDS)


if __name__ == "__main__":
    with Readers(1, zone="UTC", gps=False) as its_reader:
        run("pictures_to_events", QUEUE, partial(align_events, its_reader))
