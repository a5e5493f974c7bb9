"""What the commands about the quarantine share: their options, and the stack's desk."""

import datetime as dt
import time
from collections.abc import Callable
from typing import Any, BinaryIO, get_args

import click

from functions.write_to_es.sink import ImageIndex
from lockstep.commands.endings import Refusal
from lockstep.commands.options import since_option
from lockstep.console.terminal import notes
from lockstep.producing.sources import lines
from lockstep.quarantine.bucket import BucketObjects
from lockstep.quarantine.cases import Case, Found, Wanted, find
from lockstep.quarantine.given_up import Fetched, fetch
from lockstep.quarantine.held import NotOursError, read_record
from lockstep.quarantine.redrive import Index, Redrive, Time
from lockstep.stack.stack import CONSUMERS
from lockstep.stack.system import NO_CLOCK, System
from lockstep.stores.contents import Stores, index_lookup, table_lookup
from lockstep.stream.kinesis import KinesisStream
from lockstep.stream.stream import StreamUnavailableError
from shared.event import Reason
from shared.quarantine import QuarantinedRecord

EMPTY_ID = "an empty ID is none: see `lockstep quarantine list`"


def no_empty_id[T: str | tuple[str, ...]](_: click.Context, __: click.Parameter, given: T) -> T:
    """Every ID starts with nothing; whoever gives none, by an empty variable, means none."""
    if "" in (given if isinstance(given, tuple) else (given,)):
        raise click.BadParameter(EMPTY_ID)
    return given


def wanted_options[F: Callable[..., Any]](command: F) -> F:
    """`--reason`, `--image` and `--since`: which records; as `Wanted` has them."""
    reasons = click.Choice([*get_args(Reason), "given_up"])
    reason = click.option("--reason", type=reasons, help="Only these.")
    image = click.option("--image", metavar="ID", help="Only this image.")
    since = since_option("Set aside since; 7d, 12h, or a time (UTC).")
    return reason(image(since(command)))


pointers_option = click.option(
    "--pointers",
    type=click.File("rb"),
    help="Also what these failure documents from SQS or SNS point at (NDJSON).",
)
age_option = click.option(
    "--quarantine-days",
    type=click.IntRange(1, 3650),
    help="In place of the stack's QuarantineDays: older records go back only mended.",
)


class Desk:
    """One stack, with everything that these commands use of it."""

    def __init__(self, system: System, quarantine_days: int | None) -> None:
        stack, clients = system.stack, system.clients
        self.age = dt.timedelta(days=quarantine_days or stack.quarantine_days)
        self.objects = BucketObjects(clients.s3, stack.bucket)
        self.stores = Stores(
            table_lookup(clients.dynamodb, stack.table, time.time),
            index_lookup(clients.opensearch, stack.index, time.time),
        )
        self._system = system
        self._consumers = {name: stack.functions.get(name, name) for name in CONSUMERS}
        self.redrive = Redrive(
            self.objects,
            lambda events: system.put(events, lambda _: None),
            self._consumers,
            time=Time(time.time, time.monotonic, time.sleep),
            quarantine_age=self.age,
            index=Index(
                sink=ImageIndex(clients.opensearch, stack.index, longest_request=NO_CLOCK),
                horizon=system.horizon,
                fed_from_table=stack.index_from != "Kinesis",
                changes_stream=stack.changes_stream,
            ),
        )

    def find(self, wanted: Wanted, pointers: BinaryIO | None = None) -> Found:
        """What is set aside, now."""
        with notes.status("reading the quarantine"):
            try:
                return find(
                    self.objects,
                    self._consumers,
                    now=dt.datetime.now(dt.UTC),
                    quarantine_age=self.age,
                    pointers=() if pointers is None else lines(pointers),
                    fetch=self._fetch,
                    wanted=wanted,
                    changes_stream=self._system.stack.changes_stream,
                )
            except StreamUnavailableError as error:
                raise Refusal(f"stream {self._system.stack.stream}: {error}") from error

    def one(self, case_id: str, found: Found) -> Case:
        """The only case whose id starts so."""
        if not case_id:
            raise Refusal(EMPTY_ID)
        cases = [case for case in found.cases if case.id.startswith(case_id)]
        if len(cases) == 1:
            return cases[0]
        if cases:
            raise Refusal(f"{case_id}: {len(cases)} ids start so: write more of it")
        raise Refusal(f"{case_id}: nothing of that id is set aside: see `lockstep quarantine list`")

    def record(self, case: Case, found: Found) -> QuarantinedRecord:
        """A case's record, whole."""
        for key in case.keys:
            if key in found.fetched:
                return found.fetched[key]
            body = self.objects.read(key)
            if body is not None:
                try:
                    return read_record(body)
                except NotOursError as error:
                    raise Refusal(f"{key}: {error}") from error
        for document in case.documents:
            for held in self.redrive.records_of(document):
                if held.key in case.keys:
                    return held
        raise Refusal(f"{case.id}: somebody else settled it just now")

    def _fetch(self, line: bytes) -> Fetched:
        stack = self._system.stack
        stream = KinesisStream(self._system.clients.kinesis, stack.stream)
        return fetch(line, self._consumers, stack.stream, stream.reader, time.sleep)
